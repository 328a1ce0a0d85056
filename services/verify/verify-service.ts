/**
 * Verification as a long-lived service: reads all ranges again and again within a budget, follows every change in between, and stands aside when the
 * target falls behind. A killed one goes on with its run where it was; a run whose part of the log is gone begins anew.
 */
import type { Clock } from "../../core/clock.js";
import type { ChunkProof, RunRecord, TableResult } from "../../core/contracts/verification.js";
import type { KeyScope } from "../../core/contracts/change.js";
import type { RowReader } from "../../core/contracts/row-reader.js";
import { asTailraceError, explainError, TailraceError } from "../../core/errors.js";
import type { Direction } from "../../core/contracts/target.js";
import type { Logger } from "../../core/logger.js";
import type { Metrics } from "../../core/metrics.js";
import type { Service, ServiceStatus } from "../../core/status.js";
import { type Situation, supervise } from "../../core/supervise.js";
import type { TableId } from "../../core/vocabulary/ids.js";
import { formatPosition, type Position } from "../../core/vocabulary/position.js";
import { defaultRowsPerScope } from "./defaults.js";
import type { Verifier } from "./verifier.js";
import { ReadBudget } from "./read-budget.js";
import { type ResumedRun, type RunOptions, VerificationRun } from "./run.js";
import { VerifyMeters } from "./verify-meters.js";

export interface VerifyServiceOptions {
  readonly pipeline: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly rowsPerSecond: number;
  readonly open: (signal: AbortSignal) => Promise<Verifier>;
}

/** From one sweep's beginning to the next's, at least: a small database is not read all the time. */
const sweepEveryMs = 60_000;
const followEveryMs = 1_000;
/** Changes that the target may be behind before reading ranges waits for it. */
const behindMax = 20_000;
const lookAgainMs = 500;

type Doing = "starting" | "waiting for the copy" | "reading ranges" | "following changes" | "waiting for the target";

export class VerifyService implements Service, AsyncDisposable {
  readonly name = "verify";
  readonly #meters: VerifyMeters;
  readonly #budget: ReadBudget;
  #situation: Situation;
  #doing: Doing = "starting";
  #direction: Direction = "forward";
  #run: number | null = null;
  #proven: Position | null = null;
  #results: readonly TableResult[] = [];
  #rows = 0;

  constructor(private readonly options: VerifyServiceOptions) {
    this.#meters = new VerifyMeters(options.metrics, options.clock);
    this.#budget = new ReadBudget(options.rowsPerSecond, options.clock);
    this.#situation = { state: "starting", sinceMs: options.clock.wallMs(), error: null, attempt: null };
  }

  run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.options;
    const onChange = (situation: Situation): void => {
      this.#situation = situation;
    };
    return supervise({ name: this.name, clock, log, onChange, session: (alive, s) => this.#session(alive, s) }, signal);
  }

  status(): ServiceStatus {
    const { state, error, attempt, sinceMs } = this.#situation;
    const wallMs = this.options.clock.wallMs();
    return {
      service: "verify",
      pipeline: this.options.pipeline,
      state,
      why: error === null ? null : explainError(error),
      code: error?.code ?? null,
      attempt: attempt === null ? null : { n: attempt.n, nextInMs: Math.max(0, attempt.nextAtMs - wallMs) },
      sinceMs: wallMs - sinceMs,
      position: this.#proven === null ? null : formatPosition(this.#proven),
      details: {
        direction: this.#direction,
        doing: this.#doing,
        run: this.#run,
        rows: this.#rows,
        rowsPerSecond: this.options.rowsPerSecond,
        tables: this.#results,
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  async #session(alive: () => void, signal: AbortSignal): Promise<void> {
    try {
      await using verifier = await this.options.open(signal);
      this.#direction = verifier.sides.direction;
      await this.#untilCopied(verifier, alive, signal);
      await this.#sweeps(verifier, alive, signal);
    } catch (thrown) {
      const error = asTailraceError(thrown);
      // A person mends these elsewhere (`apply`); this service has nothing of its own that would have to be mended.
      if (error.verdict !== "stop" || error.code === "internal" || signal.aborted) throw thrown;
      throw new TailraceError("verify.put-off", { what: `${error.message} [${error.code}]`, where: error.where, cause: error });
    }
  }

  /** Before all rows were copied there is nothing to compare, which is nobody's fault. */
  async #untilCopied({ sides, plan }: Verifier, alive: () => void, signal: AbortSignal): Promise<void> {
    this.#doing = "waiting for the copy";
    this.#running(alive);
    for (const { source } of plan.tables) {
      while (!(await isCopied(sides.target, source, signal))) await this.options.clock.delay(followEveryMs, signal);
    }
  }

  /** One run after the other, each carrying on the proof of the last. */
  async #sweeps(verifier: Verifier, alive: () => void, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.options;
    let resume = await unfinishedRun(verifier, signal);
    let since: Position | null = null;
    for (;;) {
      const beganMs = clock.monotonicMs();
      const resumed: ResumedRun | null = resume;
      const run: VerificationRun = await VerificationRun.begin(this.#runOptions(verifier, { since, resume: resumed }), signal);
      this.#run = run.number;
      this.#running(alive);
      try {
        this.#doing = "reading ranges";
        await run.sweep(signal);
        await run.follow(signal);
        await run.end({ state: "done", error: null }, signal);
        this.#meters.swept(run.results());
        log.info(
          { event: "verify.swept", run: run.number, proven: formatPosition(run.proven), ...countsOf(run.results()) },
          "every table was compared",
        );
        this.#doing = "following changes";
        while (clock.monotonicMs() - beganMs < sweepEveryMs) {
          await clock.delay(followEveryMs, signal);
          // Says, too, when applications were switched over.
          await verifier.sides.source.position(signal);
          await run.follow(signal);
          alive();
        }
        since = run.proven;
      } catch (thrown) {
        if (asTailraceError(thrown).code !== "source.pruned") throw thrown;
        log.warn({ event: "verify.anew", run: run.number }, "the log has lost what came after the proof: ranges are read again");
        await run.end({ state: "stopped", error: "the log has lost what came after the proof" }, signal);
        since = null;
      }
      resume = null;
    }
  }

  #runOptions(verifier: Verifier, from: { readonly since: Position | null; readonly resume: ResumedRun | null }): RunOptions {
    const { sides, store, requests, plan } = verifier;
    return {
      ...from,
      sides,
      store,
      requests,
      kind: "continuous",
      holdName: "verify",
      tables: plan.tables.map(({ source }) => source),
      whole: true,
      rowsPerScope: defaultRowsPerScope,
      pace: (rows, signal) => this.#pace(verifier, rows, signal),
      onChunk: (proof: ChunkProof) => this.#meters.range(proof),
      onProgress: (results, proven) => {
        this.#results = results;
        this.#proven = proven;
        this.#meters.progress(results);
      },
    };
  }

  async #pace({ sides }: Verifier, rows: number, signal: AbortSignal): Promise<void> {
    this.#rows += rows;
    await this.#budget.spend(rows, signal);
    for (;;) {
      const [source, target] = [await sides.source.position(signal), await sides.target.position(signal)];
      if (source.history !== target.history || source.order - target.order <= behindMax) break;
      this.#doing = "waiting for the target";
      await this.options.clock.delay(lookAgainMs, signal);
    }
    this.#doing = "reading ranges";
  }

  #running(alive: () => void): void {
    alive();
    if (this.#situation.state === "running") return;
    this.#situation = { state: "running", sinceMs: this.options.clock.wallMs(), error: null, attempt: null };
  }
}

async function isCopied(target: RowReader, table: TableId, signal: AbortSignal): Promise<boolean> {
  try {
    await target.rowsByKey(table, [], signal);
    return true;
  } catch (thrown) {
    if (asTailraceError(thrown).code === "verify.not-settled") return false;
    throw thrown;
  }
}

const countsOf = (results: readonly TableResult[]): Readonly<Record<string, number>> => ({
  rows: results.reduce((sum, { rows }) => sum + rows, 0),
  different: results.reduce((sum, { missing, extra, changed }) => sum + missing + extra + changed, 0),
  unsettled: results.reduce((sum, { unsettled }) => sum + unsettled, 0),
});

/** The newest continuous run, if a process that is gone has left it unfinished, and its tables are still the plan's. */
async function unfinishedRun({ store, plan }: Verifier, signal: AbortSignal): Promise<ResumedRun | null> {
  const newest: RunRecord | undefined = (await store.runs(20, signal)).find(({ kind }) => kind === "continuous");
  if (newest?.state !== "running") return null;
  const planned = plan.tables.map(({ source }) => source);
  if (planned.length !== newest.tables.length || !newest.tables.every(({ table }) => planned.includes(table))) {
    await store.end(newest.run, { state: "stopped", error: "the plan was changed" }, signal);
    return null;
  }
  const done = new Map<TableId, { number: number; after: KeyScope["upTo"] }>();
  for (const { table, number, scope } of await store.chunks(newest.run, signal)) done.set(table, { number: number + 1, after: scope.upTo });
  return { run: newest.run, proven: newest.proven, tables: newest.tables, done };
}
