/**
 * The write fence of a DuckDB file, for an application that lets go of the file when its route is paused.
 *
 * Promises: leased, the file is held by a process of ours with DuckDB's own lock, so that no other process can open it; the lease ends with that process,
 * which ends when nobody renews it or whoever started it is gone. Kept, the file lies aside and a tombstone is in its place (tombstone.ts): the fence is in
 * the file system, and stands without any process. Only whoever holds the lock puts it up, in one rename, so nothing was written between the lease and it.
 * Relies on the source service: it takes the last copy and tells a marker, whose position is the fence's.
 *
 * A crash leaves the file in its place, or the tombstone in it.
 */
import { randomUUID } from "node:crypto";
import { accessSync, constants } from "node:fs";
import { dirname, join } from "node:path";
import { type Clock, systemClock } from "../../../core/clock.js";
import type { FenceState, Kept, Leased, SourceFence } from "../../../core/contracts/cutover.js";
import { isAbort, TailraceError } from "../../../core/errors.js";
import type { GroupId, MarkerId, PipelineId } from "../../../core/vocabulary/ids.js";
import type { Position } from "../../../core/vocabulary/position.js";
import { CaptureDirectory } from "../capture-directory.js";
import { copyPrivately } from "../copy/private-file.js";
import { EngineProcess } from "../engine/engine-process.js";
import type { Answer, Method, Request } from "../engine/messages.js";
import { openDuckDbRequests } from "../requests.js";
import { whoHolds } from "../who-holds.js";
import type { Hold } from "./hold.js";
import { LeaseNote } from "./lease-note.js";
import { asideName, readTombstone, realName, tombstoneText } from "./tombstone.js";

export interface DuckDbFenceOptions {
  readonly path: string;
  readonly pipeline: PipelineId;
  readonly stateDirectory: string;
  readonly clock?: Clock;
  /** The engine's built program. */
  readonly program?: string;
}

const againMs = 5;
const patientMs = 10_000;
/** For a copy of the whole file. */
const homeMs = 600_000;
const memoryMb = 256;
const never = new AbortController().signal;

export interface HomeFence extends SourceFence {
  /**
   * Once the route says that the source is the side to be written: the file takes its place again, and what it holds counts as told to the target, which
   * it came from. Idempotent; a no-op unless the fence is this marker's.
   */
  comeHome(marker: MarkerId, signal: AbortSignal): Promise<void>;
}

export const openDuckDbFence = (options: DuckDbFenceOptions): HomeFence => new DuckDbFence(options);

class DuckDbFence implements HomeFence {
  readonly #clock: Clock;
  readonly #directory: CaptureDirectory;
  readonly #note: LeaseNote;
  #holder: Promise<EngineProcess<Hold>> | null = null;
  /** What this process has leased. */
  #leased: { readonly marker: MarkerId; readonly at: Position } | null = null;

  constructor(private readonly options: DuckDbFenceOptions) {
    this.#clock = options.clock ?? systemClock;
    this.#directory = new CaptureDirectory(options);
    this.#note = new LeaseNote(this.#directory.path);
  }

  /** Starts the process that is going to hold the file: nobody is to wait for that when writes do. */
  async prove(_group: GroupId): Promise<void> {
    this.#directory.installedFor(this.options.pipeline);
    const { path } = this.options;
    const directory = dirname(realName(path));
    try {
      accessSync(directory, constants.W_OK);
    } catch (cause) {
      throw new TailraceError("cutover.no-fence", {
        what: "The file cannot be moved: its directory may not be written",
        where: { directory },
        cause,
      });
    }
    await this.#started();
  }

  async fence(
    group: GroupId,
    marker: MarkerId,
    limits: { readonly waitMs: number; readonly leaseMs: number },
    signal: AbortSignal,
  ): Promise<Leased> {
    const { path } = this.options;
    const tombstone = readTombstone(path);
    const other = tombstone?.marker ?? this.#note.standing(this.#clock.wallMs())?.marker ?? marker;
    if (other !== marker) throw taken(path, other);
    if (tombstone !== null) return { kind: "leased", marker, at: tombstone.at, untilMs: this.#clock.wallMs() + limits.leaseMs };
    if (this.#leased?.marker === marker) return await this.renew(group, marker, limits.leaseMs);
    await this.#hold(realName(path), limits, signal);
    const at = await this.#last(group, marker, limits.leaseMs, signal);
    this.#leased = { marker, at };
    return await this.renew(group, marker, limits.leaseMs);
  }

  async renew(group: GroupId, marker: MarkerId, leaseMs: number): Promise<Leased> {
    const leased = this.#leased;
    if (leased?.marker !== marker) throw lost("The fence is no longer there", group, marker);
    if (!(await this.#ask("renew", [{ leaseMs }], group, marker))) throw lost("The lease was over", group, marker);
    const untilMs = this.#clock.wallMs() + leaseMs;
    this.#note.store({ marker, at: leased.at, untilMs });
    return { kind: "leased", marker, at: leased.at, untilMs };
  }

  async keep(group: GroupId, marker: MarkerId): Promise<Kept> {
    const { path, pipeline } = this.options;
    const standing = readTombstone(path);
    if (standing?.marker === marker) return { kind: "kept", marker, at: standing.at };
    const leased = this.#leased;
    if (leased?.marker !== marker) throw lost("The fence is no longer there", group, marker);
    const real = realName(path);
    const tombstone = tombstoneText(real, { pipeline, marker, at: leased.at });
    if (!(await this.#ask("putAside", [{ real, tombstone }], group, marker))) throw lost("The lease was over", group, marker);
    this.#leased = null;
    this.#note.forget();
    return { kind: "kept", marker, at: leased.at };
  }

  async release(group: GroupId, marker: MarkerId): Promise<void> {
    const { path } = this.options;
    if (this.#leased?.marker === marker) {
      this.#leased = null;
      await this.#ask("letGo", [], group, marker).catch(() => this.#end());
    }
    if (this.#note.standing(this.#clock.wallMs())?.marker === marker) this.#note.forget();
    if (readTombstone(path)?.marker !== marker) return;
    await this.#bringBack(marker, () => Promise.resolve());
  }

  async comeHome(marker: MarkerId, signal: AbortSignal): Promise<void> {
    const { path } = this.options;
    if (readTombstone(path)?.marker !== marker) return;
    await this.#bringBack(marker, async (aside) => {
      const copy = join(this.#directory.copies, `baseline-${randomUUID()}.duckdb`);
      await copyPrivately(aside, copy, { clock: this.#clock, bytesPerSecond: null }, signal);
      this.#directory.bringBaseline(copy);
    });
  }

  state(_group: GroupId): Promise<FenceState> {
    const tombstone = readTombstone(this.options.path);
    if (tombstone !== null) return Promise.resolve({ kind: "kept", marker: tombstone.marker, at: tombstone.at });
    const leased = this.#note.standing(this.#clock.wallMs());
    return Promise.resolve(leased === null ? { kind: "open" } : { kind: "leased", ...leased });
  }

  [Symbol.dispose](): void {
    this.#end();
  }

  /** Whoever brings changes back to the file, or looks at it, has it now and then. */
  async #bringBack(marker: MarkerId, beforehand: (aside: string) => Promise<void>): Promise<void> {
    const real = realName(this.options.path);
    const deadline = this.#clock.monotonicMs() + patientMs;
    const holder = await this.#started();
    for (;;) {
      try {
        await holder.call("take", [{ path: asideName(real), leaseMs: homeMs }], never);
        break;
      } catch (thrown) {
        if (!isLocked(thrown)) throw thrown;
        if (this.#clock.monotonicMs() >= deadline) throw inUse(asideName(real), thrown);
      }
      await this.#clock.delay(againMs, never);
    }
    // Somebody else may have brought it back meanwhile, and a later cutover may have put it aside again.
    if (readTombstone(real)?.marker !== marker) {
      await holder.call("letGo", [], never);
      return;
    }
    await beforehand(asideName(real));
    if (await holder.call("bringBack", [{ real }], never)) return;
    throw new TailraceError("cutover.fence-lost", { what: "The file took too long to be brought back", where: { path: real, marker } });
  }

  async #hold(
    path: string,
    { waitMs, leaseMs }: { readonly waitMs: number; readonly leaseMs: number },
    signal: AbortSignal,
  ): Promise<void> {
    const holder = await this.#started();
    const deadline = this.#clock.monotonicMs() + waitMs;
    for (;;) {
      signal.throwIfAborted();
      try {
        return await holder.call("take", [{ path, leaseMs }], never);
      } catch (thrown) {
        if (!isLocked(thrown)) throw thrown;
        if (this.#clock.monotonicMs() >= deadline) throw inUse(path, thrown);
      }
      await this.#clock.delay(againMs, signal);
    }
  }

  /** The lease is renewed while the source looks at the file for the last time. */
  async #last(group: GroupId, marker: MarkerId, leaseMs: number, signal: AbortSignal): Promise<Position> {
    const ended = new AbortController();
    let failure: unknown = null;
    const renewing = this.#renewUntil(ended.signal, leaseMs, group, marker).catch((thrown: unknown) => {
      if (!isAbort(thrown)) failure = thrown;
      ended.abort();
    });
    try {
      using requests = openDuckDbRequests({ ...this.options, answerMs: patientMs, signal: AbortSignal.any([signal, ended.signal]) });
      return await requests.marker(marker);
    } catch (thrown) {
      signal.throwIfAborted();
      throw failure ?? thrown;
    } finally {
      ended.abort();
      await renewing;
    }
  }

  async #renewUntil(ended: AbortSignal, leaseMs: number, group: GroupId, marker: MarkerId): Promise<never> {
    for (;;) {
      await this.#clock.delay(leaseMs / 3, ended);
      if (!(await this.#ask("renew", [{ leaseMs }], group, marker))) throw lost("The lease was over", group, marker);
    }
  }

  /** A holder that is gone has let go of the file, and another one knows nothing of it. */
  async #ask<M extends Method<Hold>>(method: M, request: Request<M, Hold>, group: GroupId, marker: MarkerId): Promise<Answer<M, Hold>> {
    const holder = await this.#started();
    try {
      return await holder.call(method, request, never);
    } catch (thrown) {
      if (holder.isOver) throw lost("The process that held the file is gone", group, marker);
      throw thrown;
    }
  }

  async #started(): Promise<EngineProcess<Hold>> {
    const known = await this.#holder;
    if (known !== null && !known.isOver) return known;
    this.#holder = this.#start();
    return await this.#holder;
  }

  async #start(): Promise<EngineProcess<Hold>> {
    const { program } = this.options;
    const holder = new EngineProcess<Hold>({ kind: "hold", clock: this.#clock, memoryMb, ...(program === undefined ? {} : { program }) });
    await holder.call("open", [{ memoryMb }], never);
    return holder;
  }

  #end(): void {
    void this.#holder?.then((holder) => holder.kill()).catch(() => {});
    this.#holder = null;
  }
}

const isLocked = (thrown: unknown): boolean => thrown instanceof TailraceError && thrown.code === "source.locked";
const inUse = (path: string, cause: unknown): TailraceError =>
  new TailraceError("cutover.file-open", { what: whoHolds(path), where: { path }, cause });
const taken = (path: string, marker: MarkerId): TailraceError =>
  new TailraceError("cutover.fence-taken", { what: "The file is fenced off by another cutover", where: { path, marker } });
const lost = (what: string, group: GroupId, marker: MarkerId): TailraceError =>
  new TailraceError("cutover.fence-lost", { what, where: { group, marker } });
