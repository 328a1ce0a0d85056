/**
 * One verification from beginning to end: every range of every table, and every row that changed meanwhile. What it ends with holds for one position.
 *
 * The log is held from the run's beginning on, and let go as the tail comes after. Progress is stored as it goes, so that a killed run can be taken up
 * where it was; rows that were found since the last note are found again.
 */
import type { KeyScope } from "../../core/contracts/change.js";
import type { SourceRequests } from "../../core/contracts/source.js";
import type { ChunkProof, RunKind, RunNumber, RunState, TableResult, VerificationStore } from "../../core/contracts/verification.js";
import type { HoldName } from "../../core/contracts/source.js";
import type { TableId } from "../../core/vocabulary/ids.js";
import type { Position } from "../../core/vocabulary/position.js";
import { Ledger } from "./ledger.js";
import { lower, type Sides } from "./sides.js";
import { sweepTable } from "./sweep.js";
import { Tail } from "./tail.js";

export interface RunOptions {
  readonly sides: Sides;
  readonly store: VerificationStore;
  readonly requests: RunRequests;
  readonly kind: RunKind;
  readonly holdName: HoldName;
  /** In the order in which they are read. */
  readonly tables: readonly TableId[];
  readonly whole: boolean;
  readonly rowsPerScope: number;
  /** Where an earlier run's proof ends, which this one is to carry on; null: where the target is now. */
  readonly since: Position | null;
  /** A run that was not ended: goes on with it. */
  readonly resume: ResumedRun | null;
  /** After each range; may wait (a read budget, a target that falls behind). */
  readonly pace: (rows: number, signal: AbortSignal) => Promise<void>;
  readonly onChunk: (proof: ChunkProof) => void;
  readonly onProgress: (results: readonly TableResult[], proven: Position) => void;
}
export interface RunRequests extends Pick<SourceRequests, "hold"> {
  /** Every row of every table is equal as of there. Absent: nobody has to be told. */
  readonly proven?: (at: Position) => Promise<void>;
}
export interface ResumedRun {
  readonly run: RunNumber;
  readonly proven: Position;
  readonly tables: readonly TableResult[];
  /** Per table that was begun: ranges that are done, and where the last one ends. */
  readonly done: ReadonlyMap<TableId, { readonly number: number; readonly after: KeyScope["upTo"] }>;
}
export interface RunResult {
  readonly run: RunNumber;
  readonly proven: Position;
  readonly tables: readonly TableResult[];
}

const holdMs = 120_000;
const holdAgainMs = 10_000;
const proofKeptMs = 600_000;
const noteEveryMs = 3_000;
const tailEveryMs = 2_000;
const waitingMax = 2_000;

/** A run that an operator asked for: it ends with this call, whatever comes. */
export async function runVerification(options: RunOptions, signal: AbortSignal): Promise<RunResult> {
  const run = await VerificationRun.begin(options, signal);
  try {
    await run.sweep(signal);
    await run.follow(signal);
    await run.end({ state: "done", error: null }, signal);
    // Whoever goes on with the proof (a final check) needs the log from here on.
    await options.requests.hold(options.holdName, run.proven, proofKeptMs).catch(() => {});
    return { run: run.number, proven: run.proven, tables: run.results() };
  } catch (thrown) {
    const error = thrown instanceof Error ? thrown.message : String(thrown);
    const how = signal.aborted ? ({ state: "stopped", error: null } as const) : ({ state: "failed", error } as const);
    await run.end(how, new AbortController().signal).catch(() => {});
    throw thrown;
  }
}

export class VerificationRun {
  #notedMs: number;
  #followedMs: number;
  #heldMs: number;
  #isDone = false;

  private constructor(
    readonly number: RunNumber,
    private readonly options: RunOptions,
    private readonly ledger: Ledger,
    private readonly tail: Tail | null,
    private readonly since: Position,
  ) {
    this.#notedMs = options.sides.clock.monotonicMs();
    this.#followedMs = this.#notedMs;
    this.#heldMs = this.#notedMs;
  }

  static async begin(options: RunOptions, signal: AbortSignal): Promise<VerificationRun> {
    const { sides, store, resume, requests, holdName, kind, whole, tables } = options;
    // Below what the target has applied now no change is of interest: what it lacks of them it gets before any suspect is judged.
    const known = resume?.proven ?? options.since;
    const now = async (): Promise<Position> => lower(await sides.target.position(signal), await sides.source.position(signal));
    await requests.hold(holdName, known ?? (await now()), holdMs);
    // Read again: a follower that knew of no changes knows those that came after the hold.
    const since = known ?? (await now());
    const number = resume?.run ?? (await store.begin({ kind, whole, since, tables }, signal));
    const fresh = tables.map((table): TableResult => ({ table, state: "waiting", ...zero }));
    const before = new Map(resume?.tables.map((result) => [result.table, result]));
    const ledger = await Ledger.of(
      store,
      fresh.map((result) => before.get(result.table) ?? result),
      signal,
    );
    const onSettled = (table: TableId, answers: Parameters<Ledger["settled"]>[1]): void => ledger.settled(table, answers);
    const tail =
      sides.changes === null ? null : new Tail({ sides, changes: sides.changes, tables: new Set(tables), from: since, onSettled });
    return new VerificationRun(number, options, ledger, tail, since);
  }

  get proven(): Position {
    return this.tail?.proven ?? this.since;
  }

  results(): readonly TableResult[] {
    return this.ledger.results();
  }

  /** Rows that were compared because they had changed. */
  followed(): number {
    return this.tail?.rows ?? 0;
  }

  async sweep(signal: AbortSignal): Promise<void> {
    const { tables, resume, sides, rowsPerScope, pace, onChunk } = this.options;
    for (const table of tables) {
      const before = this.ledger.results().find((result) => result.table === table);
      if (before?.state === "done") continue;
      this.ledger.update(table, { state: "reading" });
      const beganMs = sides.clock.monotonicMs() - (before?.ms ?? 0);
      const onRange = async (rows: number): Promise<void> => {
        this.ledger.update(table, { ms: Math.round(sides.clock.monotonicMs() - beganMs) });
        await this.#keepUp(signal);
        await pace(rows, signal);
      };
      const from = resume?.done.get(table) ?? { number: 0, after: null };
      await sweepTable({ sides, ledger: this.ledger, table, from, rowsPerScope, onRange, onChunk }, signal);
      this.ledger.update(table, { ms: Math.round(sides.clock.monotonicMs() - beganMs) });
      await this.#note(signal);
    }
  }

  /** To where the target is now: the last word on every row that changed since the beginning. Whoever writes faster than this reads is not chased. */
  async follow(signal: AbortSignal): Promise<void> {
    const goal = await this.options.sides.target.position(signal);
    if (this.tail !== null) while (await this.tail.advance(signal, goal)) await this.#note(signal);
    await this.#note(signal);
  }

  async end(how: { readonly state: RunState; readonly error: string | null }, signal: AbortSignal): Promise<void> {
    await this.options.store.end(this.number, how, signal);
    this.#isDone = how.state === "done";
    await this.#prove();
  }

  async #keepUp(signal: AbortSignal): Promise<void> {
    const nowMs = this.options.sides.clock.monotonicMs();
    if (this.tail !== null && nowMs - this.#followedMs >= tailEveryMs) {
      await this.tail.advance(signal);
      this.#followedMs = this.options.sides.clock.monotonicMs();
    }
    if (nowMs - this.#notedMs >= noteEveryMs || this.ledger.waiting() >= waitingMax) await this.#note(signal);
  }

  async #note(signal: AbortSignal): Promise<void> {
    const { requests, holdName, sides, onProgress } = this.options;
    await this.ledger.flush(this.number, this.proven, signal);
    this.#notedMs = sides.clock.monotonicMs();
    if (this.#notedMs - this.#heldMs > holdAgainMs) {
      // An application that keeps the file busy only puts it off: the hold lasts for a while.
      const held = await requests.hold(holdName, this.proven, holdMs).then(
        () => true,
        () => false,
      );
      if (held) this.#heldMs = this.#notedMs;
      await this.#prove();
    }
    onProgress(this.ledger.results(), this.proven);
  }

  async #prove(): Promise<void> {
    const { whole, requests } = this.options;
    const isClean = this.results().every(({ state, missing, extra, changed, unsettled }) => {
      return state === "done" && missing + extra + changed + unsettled === 0;
    });
    // Who does not hear of it keeps more than is needed, and nothing else.
    if (this.#isDone && whole && isClean) await requests.proven?.(this.proven).catch(() => {});
  }
}

const zero = { rows: 0, chunks: 0, equalChunks: 0, missing: 0, extra: 0, changed: 0, unsettled: 0, ms: 0 };
