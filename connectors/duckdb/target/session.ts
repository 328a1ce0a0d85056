/** The owner of the file as a target: the process that writes, which keeps others away, and the plan as it was when it took over. */
import type { Clock } from "../../../core/clock.js";
import type { AppliedCut, Window } from "../../../core/contracts/log.js";
import type { Conservation, Direction, LeftOut, TargetSession } from "../../../core/contracts/target.js";
import { passing } from "../../../core/crash-points.js";
import { disposeQuietly } from "../../../core/dispose.js";
import { TailraceError } from "../../../core/errors.js";
import { appliedCutFromJson, appliedCutToJson } from "../../../core/log/applied-cut-json.js";
import { type GroupId, type OwnerEpoch, ownerEpoch, type PipelineId, type TableId, tableId } from "../../../core/vocabulary/ids.js";
import type { CaptureDirectory } from "../capture-directory.js";
import type { EngineProcess } from "../engine/engine-process.js";
import type { Answer, Method, Request } from "../engine/messages.js";
import { holdersOf } from "../holders.js";
import type { Apply, FileState, TableCounts } from "./apply.js";
import { type ApplyContext, applyWindow } from "./apply-window.js";
import type { StoredPlan, TargetBoard } from "./board.js";
import { FileTable } from "./file-table.js";

export interface SessionOptions {
  readonly pipeline: PipelineId;
  readonly group: GroupId;
  readonly direction: Direction;
  readonly clock: Clock;
  readonly directory: CaptureDirectory;
  readonly board: TargetBoard;
  /** Where the file may be opened now; rejects when it is not ours to open. */
  readonly home: () => string;
  readonly engine: EngineProcess<Apply>;
}

/** Somebody looks at the file with another program: it is waited for, and then said. */
const patienceMs = 5_000;
const againMs = 10;
const homeWaitMs = 60_000;

export class DuckDbSession implements TargetSession {
  readonly epoch: OwnerEpoch;
  readonly follows = false;
  readonly #context: ApplyContext;
  #state: FileState;
  #busy = false;
  #closed = false;

  private constructor(
    private readonly options: SessionOptions,
    private readonly stored: StoredPlan,
    state: FileState,
  ) {
    this.#state = state;
    this.epoch = ownerEpoch(state.epoch);
    const tables = tablesOf(options, stored);
    const applied = [...tables.values()].map((table) => table.applied);
    const { group } = options;
    const ask: Ask = (method, request, signal) =>
      options.engine.call(method, [request] as unknown as Request<typeof method, Apply>, signal);
    this.#context = {
      group,
      epoch: this.epoch,
      tables,
      former: new Set(stored.former.map(tableId)),
      engine: {
        look: (request) => ask("look", request, never),
        stage: (request) => ask("stage", request, never),
        clear: (request) => ask("clear", request, never),
        commit: (request) => ask("commit", request, never),
        abandon: () => options.engine.call("abandon", [], never),
      },
      begin: (signal) => patiently(options, (path) => ask("begin", { path, group, tables: applied }, signal), signal),
    };
  }

  /** The engine is the session's from here on. */
  static async open(options: SessionOptions, stored: StoredPlan, signal: AbortSignal): Promise<DuckDbSession> {
    const { engine, board, pipeline, group, direction } = options;
    passing("sink.own-before");
    const owning = { pipeline, direction, group, epochAbove: board.state()?.epoch ?? 0 };
    const tables = stored.plan.tables.map(({ source }) => source);
    const state = await patiently(options, (path) => engine.call("own", [{ path, ...owning, tables }], signal), signal);
    passing("sink.owned");
    board.storeState({ ...state, planVersion: stored.version });
    return new DuckDbSession(options, stored, state);
  }

  get applied(): AppliedCut | null {
    return this.#state.cut === null ? null : appliedCutFromJson(this.#state.cut);
  }

  /** The system holds the owner's lock as long as its process lives. */
  assertOwned(): void {
    if (this.options.engine.isOver)
      throw new TailraceError("source.worker-ended", { what: "The process that writes to the file has ended" });
  }

  /** The file's rows are looked at as they are written: nothing can be done ahead. */
  async stage(): Promise<void> {}

  async apply(window: Window, signal: AbortSignal): Promise<ReadonlyMap<TableId, Conservation>> {
    if (this.#busy) throw new TailraceError("internal", { what: "a target session was asked for two things at once" });
    this.#busy = true;
    try {
      this.#refuseOtherPlan();
      const counts = await applyWindow(this.#context, window, signal);
      this.#remember(window, counts);
      return counts;
    } finally {
      this.#busy = false;
    }
  }

  /** The file has its indexes and keys; nothing was ever taken off. */
  async finish(): Promise<readonly LeftOut[]> {
    return [];
  }

  unfinished(): boolean {
    return false;
  }

  /** Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await disposeQuietly(this.options.engine);
  }

  #refuseOtherPlan(): void {
    const newest = this.options.board.plan();
    if (newest?.version === this.stored.version) return;
    throw new TailraceError("target.fenced", {
      what: "The plan was changed",
      where: { ours: this.stored.version, newest: newest?.version ?? null },
    });
  }

  /** The board is behind while this is written, which nobody takes for more than it is. */
  #remember(window: Window, counts: ReadonlyMap<TableId, Conservation>): void {
    const { controls } = window;
    const repairs = new Set(this.#state.repairs);
    for (const it of controls) if (it.kind === "repair") repairs[it.step === "begins" ? "add" : "delete"](it.table);
    const marker = controls.flatMap((it) => (it.kind === "marker" ? [it.marker] : [])).at(-1) ?? this.#state.marker;
    this.#state = {
      ...this.#state,
      cut: appliedCutToJson(window.after()),
      marker,
      counts: this.#state.counts.map((before) => added(before, counts.get(tableId(before.table)))),
      repairs: [...repairs],
    };
    this.options.board.storeState({ ...this.#state, planVersion: this.stored.version });
  }
}

type Ask = <M extends Method<Apply>>(method: M, request: Parameters<Apply[M]>[0], signal: AbortSignal) => Promise<Answer<M, Apply>>;
const never = new AbortController().signal;

async function patiently<T>(options: SessionOptions, work: (path: string) => Promise<T>, signal: AbortSignal): Promise<T> {
  const { home, clock } = options;
  let path = await homecoming(options, signal);
  const deadline = clock.monotonicMs() + patienceMs;
  for (;;) {
    signal.throwIfAborted();
    try {
      return await work(path);
    } catch (thrown) {
      const code = thrown instanceof TailraceError ? thrown.code : null;
      const isMoved = code === "source.missing" && home() !== path;
      if (code !== "source.locked" && !isMoved) throw thrown;
      if (clock.monotonicMs() >= deadline) throw held(path, thrown);
    }
    await clock.delay(againMs, signal);
    path = await homecoming(options, signal);
  }
}

/** In the middle of a cutover the file becomes ours while writes wait: nobody is to wait for us to look again. */
async function homecoming({ home, clock }: SessionOptions, signal: AbortSignal): Promise<string> {
  const deadline = clock.monotonicMs() + homeWaitMs;
  for (;;) {
    try {
      return home();
    } catch (thrown) {
      const isAway = thrown instanceof TailraceError && thrown.code === "source.way-back-closed";
      if (!isAway || clock.monotonicMs() >= deadline) throw thrown;
    }
    await clock.delay(againMs, signal);
  }
}

function held(path: string, cause: unknown): TailraceError {
  const names = (holdersOf(path) ?? []).map(({ pid, program }) => `${program ?? "a program"} (PID ${pid})`);
  return new TailraceError("target.file-held", {
    what: `${names.join(", ") || "Another process"} has the file open`,
    where: { path },
    cause,
  });
}

function tablesOf({ directory, pipeline }: SessionOptions, { plan }: StoredPlan): ReadonlyMap<TableId, FileTable> {
  const installed = new Map(
    directory
      .installedFor(pipeline)
      .tables.filter(({ state }) => state === "captured")
      .map((table) => [table.description.table, table]),
  );
  return new Map(
    plan.tables.map((table): [TableId, FileTable] => {
      const found = installed.get(table.source);
      if (found === undefined)
        throw new TailraceError("plan.changed", { what: "A planned table is not captured any more", where: { table: table.source } });
      return [table.source, new FileTable(table, found)];
    }),
  );
}

function added({ table, counts }: TableCounts, more: Conservation | undefined): TableCounts {
  if (more === undefined) return { table, counts };
  const { taken, folded, applied, filtered, quarantined, replayed } = more;
  return { table, counts: [taken, folded, applied, filtered, quarantined, replayed].map((n, i) => n + (counts[i] ?? 0)) };
}
