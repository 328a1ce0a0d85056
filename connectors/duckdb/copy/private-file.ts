/** Copies a file into our own directory: shared blocks where the file system can (reflink), else by bytes, at most as fast as is allowed. */
import { constants, copyFileSync, rmSync } from "node:fs";
import { open, statfs } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Clock } from "../../../core/clock.js";
import { TailraceError } from "../../../core/errors.js";

export interface CopyingOptions {
  readonly clock: Clock;
  /** null: as fast as it goes. */
  readonly bytesPerSecond: number | null;
}

const blockBytes = 4 << 20;
/** What the log beside it and the work on it need at least. */
const roomLeftBytes = 64 << 20;
const files = ["", ".wal", ".wal.checkpoint", ".wal.recovery"] as const;

export function removeDatabase(path: string): void {
  for (const end of files) rmSync(`${path}${end}`, { force: true });
}

export async function copyPrivately(from: string, to: string, options: CopyingOptions, signal: AbortSignal): Promise<void> {
  if (shareBlocks(from, to)) return;
  await using source = await open(from, "r");
  const { size } = await source.stat();
  await refuseWithoutRoom(dirname(to), size);
  await using target = await open(to, "w", 0o600);
  const { clock, bytesPerSecond } = options;
  const block = Buffer.allocUnsafe(blockBytes);
  const startedMs = clock.monotonicMs();
  for (let at = 0; ; ) {
    signal.throwIfAborted();
    const { bytesRead } = await source.read(block, 0, blockBytes, at);
    if (bytesRead === 0) return;
    await target.write(block, 0, bytesRead, at);
    at += bytesRead;
    if (bytesPerSecond === null) continue;
    const aheadMs = (at / bytesPerSecond) * 1000 - (clock.monotonicMs() - startedMs);
    if (aheadMs > 1) await clock.delay(aheadMs, signal);
  }
}

/** Whether a copy of this file there takes no room of its own. */
export function sharesBlocks(from: string, directory: string): boolean {
  const to = join(directory, `shares-${process.pid}`);
  try {
    return shareBlocks(from, to);
  } finally {
    rmSync(to, { force: true });
  }
}

function shareBlocks(from: string, to: string): boolean {
  try {
    copyFileSync(from, to, constants.COPYFILE_FICLONE_FORCE);
    return true;
  } catch (thrown) {
    // Another file system, or one that cannot: any such answer means that bytes must be copied.
    if (isMissing(thrown)) throw thrown;
    rmSync(to, { force: true });
    return false;
  }
}

export const isMissing = (thrown: unknown): boolean => (thrown as { code?: unknown } | null)?.code === "ENOENT";

async function refuseWithoutRoom(directory: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(directory);
  const free = bavail * bsize;
  if (free >= bytes + roomLeftBytes) return;
  throw new TailraceError("source.no-room", {
    what: `The private copy needs ${bytes + roomLeftBytes} bytes and the disk has ${free}`,
    where: { directory, bytes, free },
  });
}
