/**
 * A consistent private copy of a DuckDB file that another process keeps open for writing. The file is never locked and never opened by DuckDB.
 *
 * Relies on how DuckDB commits: the main file changes its meaning only when one of two headers is written; blocks that the headers or the log
 * refer to are not written over until then, but for two short moments at the end of a checkpoint, which begins with a CHECKPOINT frame in the
 * log. So: log first, then the main file, then proof that headers, inodes and the log's beginning are as they were and no checkpoint has begun.
 * What the engine lets happen when nothing at all moves, as after a crash, is copied as it is: then a copy is what a crash would leave.
 * A crash of ours leaves a copy that the next start removes.
 */
import { closeSync, fstatSync, linkSync, openSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Backoff, type Clock } from "../../../core/clock.js";
import { TailraceError } from "../../../core/errors.js";
import { type FileHeaders, readHeaders } from "./file-headers.js";
import { joinTransactions } from "./join-transactions.js";
import { NotNow } from "./not-now.js";
import { copyPrivately, isMissing, removeDatabase } from "./private-file.js";
import { emptyScan, scanWal, type Touched, type WalScan } from "./wal-scan.js";

export interface PrivateCopy {
  readonly path: string;
  /** `log`: the main file of the copy before serves this one too, only the log was copied. `still`: nothing moved, as after a crash. */
  readonly tier: "log" | "full" | "still";
  /** What changed since the copy it was compared with; null: anything may have. */
  readonly touched: Touched | null;
  readonly origin: Origin;
  readonly bytes: number;
  readonly tookMs: number;
  /** Attempts that met the file in the middle of something. */
  readonly attempts: number;
}
/** Which state of the file it is. */
export interface Origin {
  readonly mainInode: bigint;
  readonly headers: Buffer;
  readonly iteration: bigint;
  readonly walInode: bigint | null;
  readonly walEnd: number;
}

export interface LiveCopierOptions {
  readonly path: string;
  /** Our own; copies and nothing else. */
  readonly directory: string;
  readonly clock: Clock;
  readonly bytesPerSecond: number | null;
  /** How long a file may be in the middle of something. */
  readonly patienceMs?: number;
}

const settledNs = 20_000_000n;
const stillNs = 50_000_000n;
const patienceMs = 60_000;

export class LiveCopier {
  #made = 0;

  constructor(private readonly options: LiveCopierOptions) {}

  /** null: the file is in the very state that `before` was made of. */
  async take(before: PrivateCopy | null, signal: AbortSignal): Promise<PrivateCopy | null> {
    const { clock, path } = this.options;
    const startedMs = clock.monotonicMs();
    const backoff = new Backoff(5, 80);
    for (let attempts = 1; ; attempts++) {
      signal.throwIfAborted();
      const to = join(this.options.directory, `copy-${process.pid}-${++this.#made}.duckdb`);
      removeDatabase(to);
      try {
        const made = await this.#attempt(to, before, signal);
        return made === null ? null : { ...made, attempts, tookMs: clock.monotonicMs() - startedMs };
      } catch (thrown) {
        removeDatabase(to);
        if (!(thrown instanceof NotNow)) throw asCopyError(thrown, path);
        if (clock.monotonicMs() - startedMs > (this.options.patienceMs ?? patienceMs)) {
          throw new TailraceError("source.busy", { what: `No moment was found to copy the file: ${thrown.message}`, where: { path } });
        }
      }
      await clock.delay(backoff.next(), signal);
    }
  }

  async #attempt(to: string, before: PrivateCopy | null, signal: AbortSignal): Promise<Made | null> {
    const { path } = this.options;
    const nowNs = BigInt(Date.now()) * 1_000_000n;
    using main = new OpenFile(path);
    // Held open to the end: while they are, no other file can get their inode numbers.
    using log = OpenFile.ifThere(`${path}.wal`);
    if (stampOf(path)?.inode !== main.stamp.inode) throw new NotNow("the file was replaced");
    const headers = readHeaders(main.fd, path);
    const bytes = log === null ? Buffer.alloc(0) : readFileSync(log.fd);
    const known = before !== null && isContinued(before, main, log, headers) ? before : null;
    const scan =
      bytes.length === 0 ? emptyScan : scanWal(bytes, known?.origin.walInode === log?.stamp.inode ? (known?.origin.walEnd ?? 0) : 0, path);
    if (scan.checkpointBegun || stampOf(`${path}.wal.checkpoint`) !== null) return await this.#whenStill(to, headers, nowNs, signal);
    if (scan.iteration !== null && scan.iteration !== headers.iteration) throw new NotNow("the log belongs to another iteration");
    const walEnd = Math.max(scan.end, 0);
    const origin = originOf(main, headers, log, walEnd);
    if (known !== null && known.origin.walInode === origin.walInode && known.origin.walEnd === walEnd) return null;
    const fromLog = known !== null && known.tier !== "still" && !scan.touched.rowGroups && !scan.touched.other;
    if (fromLog) linkSync(known.path, to);
    else await copyPrivately(path, to, this.options, signal);
    this.#prove({ main, log, headers, scan, nowNs });
    if (walEnd > scan.headerBytes) writeFileSync(`${to}.wal`, joinTransactions(bytes, scan.headerBytes, walEnd), { mode: 0o600 });
    const touched = known === null ? null : scan.touched;
    return { path: to, tier: fromLog ? "log" : "full", touched, origin, bytes: walEnd + (fromLog ? 0 : main.stamp.size) };
  }

  /** Nothing that matters moved, and no checkpoint began, while the main file was copied. */
  #prove({ main, log, headers, scan, nowNs }: Proof): void {
    const { path } = this.options;
    if (!readHeaders(main.fd, path).raw.equals(headers.raw)) throw new NotNow("a header was written");
    const mainNow = stampOf(path);
    if (mainNow?.inode !== main.stamp.inode) throw new NotNow("the file was replaced");
    const logNow = stampOf(`${path}.wal`);
    if (logNow === null) {
      if (log !== null) throw new NotNow("the log was removed");
      const settled = mainNow.size === main.stamp.size && mainNow.mtimeNs === main.stamp.mtimeNs;
      // A checkpoint without a log leaves no mark but this.
      if (!settled || nowNs - main.stamp.mtimeNs < settledNs) throw new NotNow("there is no log and the file moves");
      return;
    }
    if (log !== null && logNow.inode !== log.stamp.inode) throw new NotNow("the log was replaced");
    if (logNow.size < scan.end) throw new NotNow("the log was cut");
    const bytes = readLog(`${path}.wal`);
    const again = bytes.length === 0 ? emptyScan : scanWal(bytes, scan.end, path);
    if (again.checkpointBegun) throw new NotNow("a checkpoint has begun");
    if (again.iteration !== null && again.iteration !== headers.iteration) throw new NotNow("the log belongs to another iteration");
  }

  /** A checkpoint had begun, and perhaps nobody will end it. */
  async #whenStill(to: string, headers: FileHeaders, nowNs: bigint, signal: AbortSignal): Promise<Made> {
    const { path } = this.options;
    const names = ["", ".wal", ".wal.checkpoint"];
    const before = names.map((end) => stampOf(`${path}${end}`));
    if (before.some((stamp) => stamp !== null && nowNs - stamp.mtimeNs < stillNs)) throw new NotNow("a checkpoint is running");
    try {
      for (const [i, end] of names.entries()) {
        if (before[i] !== null) await copyPrivately(`${path}${end}`, `${to}${end}`, this.options, signal);
      }
    } catch (thrown) {
      // The checkpoint that seemed to stand still has come to its end and removed its log.
      if (isMissing(thrown)) throw new NotNow("the file moved while it was copied");
      throw thrown;
    }
    const after = names.map((end) => stampOf(`${path}${end}`));
    if (!before.every((stamp, i) => sameStamp(stamp, after[i] ?? null))) throw new NotNow("the file moved while it was copied");
    const [main, log] = before;
    if (main === null || main === undefined) throw new NotNow("the file is gone");
    const origin = { mainInode: main.inode, headers: headers.raw, iteration: headers.iteration, walInode: log?.inode ?? null, walEnd: -1 };
    return { path: to, tier: "still", touched: null, origin, bytes: before.reduce((sum, stamp) => sum + (stamp?.size ?? 0), 0) };
  }
}

type Made = Omit<PrivateCopy, "attempts" | "tookMs">;
interface Proof {
  readonly main: OpenFile;
  readonly log: OpenFile | null;
  readonly headers: FileHeaders;
  readonly scan: WalScan;
  readonly nowNs: bigint;
}

const originOf = (main: OpenFile, headers: FileHeaders, log: OpenFile | null, walEnd: number): Origin => ({
  mainInode: main.stamp.inode,
  headers: headers.raw,
  iteration: headers.iteration,
  walInode: log?.stamp.inode ?? null,
  walEnd,
});

/** The main file is of the same iteration, and the log is the one that was read before or the first since. */
function isContinued({ origin }: PrivateCopy, main: OpenFile, log: OpenFile | null, headers: FileHeaders): boolean {
  if (origin.mainInode !== main.stamp.inode || !origin.headers.equals(headers.raw) || origin.walEnd < 0) return false;
  return origin.walInode === null || origin.walInode === log?.stamp.inode;
}

export interface Stamp {
  readonly inode: bigint;
  readonly size: number;
  readonly mtimeNs: bigint;
}

/** null: there is no such file. */
export function stampOf(path: string): Stamp | null {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? null : { inode: stat.ino, size: Number(stat.size), mtimeNs: stat.mtimeNs };
}

export const sameStamp = (a: Stamp | null, b: Stamp | null): boolean =>
  a === null || b === null ? a === b : a.inode === b.inode && a.size === b.size && a.mtimeNs === b.mtimeNs;

class OpenFile implements Disposable {
  readonly fd: number;
  readonly stamp: Stamp;

  constructor(path: string) {
    this.fd = openSync(path, "r");
    const stat = fstatSync(this.fd, { bigint: true });
    this.stamp = { inode: stat.ino, size: Number(stat.size), mtimeNs: stat.mtimeNs };
  }

  static ifThere(path: string): OpenFile | null {
    try {
      return new OpenFile(path);
    } catch (thrown) {
      if (isMissing(thrown)) return null;
      throw thrown;
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.fd);
  }
}

function readLog(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (thrown) {
    if (isMissing(thrown)) throw new NotNow("the log was removed");
    throw thrown;
  }
}

function asCopyError(thrown: unknown, path: string): unknown {
  if (thrown instanceof TailraceError || !(thrown instanceof Error)) return thrown;
  const code = (thrown as { code?: unknown }).code;
  if (code === "ENOENT")
    return new TailraceError("source.missing", { what: "There is no file at the source's path", where: { path }, cause: thrown });
  if (code === "ENOSPC")
    return new TailraceError("source.no-room", { what: "The disk became full while the file was copied", where: { path }, cause: thrown });
  if (typeof code !== "string" || thrown.name === "AbortError") return thrown;
  return new TailraceError("source.unavailable", {
    what: `The file cannot be read: ${thrown.message}`,
    where: { path, errno: code },
    cause: thrown,
  });
}
