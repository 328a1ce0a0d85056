/** The copy that is being read, and the process that reads it. Calls wait for each other; a process that has ended is replaced by the next call. */
import type { Clock } from "../../core/clock.js";
import { disposeQuietly } from "../../core/dispose.js";
import type { Labelled } from "../../core/contracts/row-reader.js";
import type { TableId } from "../../core/vocabulary/ids.js";
import { type Position, samePosition } from "../../core/vocabulary/position.js";
import type { CaptureDirectory } from "./capture-directory.js";
import { EngineProcess } from "./engine/engine-process.js";
import type { Answer, Method, Request } from "./engine/messages.js";
import type { View } from "./engine/view.js";
import type { ReadableTables, ReadTable } from "./readable-tables.js";
import { type CopyViews, type ShownView, ShownViews } from "./shown-view.js";

export interface CopyReaderOptions {
  readonly directory: CaptureDirectory;
  readonly tables: ReadableTables;
  readonly clock: Clock;
  /** At least; 0: not at all. */
  readonly heldMs: number;
  readonly memoryMb: number;
  /** null: what the source shows. The reader's from here on. */
  readonly views: CopyViews | null;
  /** null: beside the connector's own code. */
  readonly program: string | null;
}

export type AskView = <M extends Method<View>>(method: M, request: Request<M, View>[0]) => Promise<Answer<M, View>>;
type Work<T> = (ask: AskView, it: ReadTable) => Promise<T>;

/** A copy is held until reading is worth more than getting it ready: where a log of many small commits is replayed first, that takes seconds. */
const heldPerPrepared = 4;

export class CopyReader implements AsyncDisposable {
  readonly #views: CopyViews;
  #engine: EngineProcess<View> | null = null;
  #view: ShownView | null = null;
  #takenMs = 0;
  #preparedMs = 0;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(private readonly options: CopyReaderOptions) {
    this.#views = options.views ?? new ShownViews(options.directory);
  }

  /** Of the copy that is held, after a newer one was taken if that was due: no later answer is older. */
  async position(signal: AbortSignal): Promise<Position> {
    return (await this.#inTurn(async () => (await this.#current(signal)).view)).at;
  }

  async attached<T>(table: TableId, work: Work<T>, signal: AbortSignal): Promise<Labelled<T>> {
    return await this.#inTurn(async () => {
      const it = this.options.tables.get(table);
      const { view, ask } = await this.#current(signal);
      return { at: view.at, value: await work(ask, it) };
    });
  }

  /** The table's keys are in order, and its rows are hashed where SQL can. */
  async prepared<T>(table: TableId, work: Work<T>, signal: AbortSignal): Promise<Labelled<T>> {
    const prepare: Work<T> = async (ask, it) => {
      const { clock } = this.options;
      const startedMs = clock.monotonicMs();
      await ask("prepare", { table: it.installed.number, canonical: it.canonical });
      this.#preparedMs += clock.monotonicMs() - startedMs;
      return await work(ask, it);
    };
    return await this.attached(table, prepare, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#engine !== null) await disposeQuietly(this.#engine);
    this.#engine = null;
    this.#views[Symbol.dispose]();
  }

  async #current(signal: AbortSignal): Promise<{ readonly view: ShownView; readonly ask: AskView }> {
    const engine = await this.#started(signal);
    const ask: AskView = (method, request) => engine.call(method, [request] as unknown as Request<typeof method, View>, signal);
    const { clock, tables, heldMs } = this.options;
    const hasChanged = tables.look();
    const isDue = heldMs === 0 || clock.monotonicMs() - this.#takenMs >= Math.max(heldMs, heldPerPrepared * this.#preparedMs);
    const known = this.#view;
    if (known !== null && !hasChanged && (!isDue || samePosition(this.#views.position(), known.at))) return { view: known, ask };
    const view = this.#views.take(known);
    this.#view = null;
    const startedMs = clock.monotonicMs();
    await ask("attach", { path: view.path, tables: tables.all() });
    this.#view = view;
    this.#takenMs = clock.monotonicMs();
    this.#preparedMs = this.#takenMs - startedMs;
    return { view, ask };
  }

  async #started(signal: AbortSignal): Promise<EngineProcess<View>> {
    if (this.#engine !== null && !this.#engine.isOver) return this.#engine;
    if (this.#engine !== null) await disposeQuietly(this.#engine);
    this.#view = null;
    const { clock, memoryMb, program } = this.options;
    const engine = new EngineProcess<View>({ kind: "view", clock, memoryMb, ...(program === null ? {} : { program }) });
    this.#engine = engine;
    await engine.call("open", [{ directory: this.#views.path, memoryMb, threads: 1 }], signal);
    return engine;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work);
    this.#turn = mine.catch(() => {});
    return mine;
  }
}
