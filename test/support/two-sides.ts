/**
 * A live SQLite file and the PostgreSQL it is replicated to, in one process and without a log between them: batches of the source go straight into
 * a session of the target. For what reads both sides.
 */
import type { TargetPlan } from "../../core/contracts/plan.js";
import type { RowReader } from "../../core/contracts/row-reader.js";
import type { Batch, Source } from "../../core/contracts/source.js";
import type { Target, TargetSession } from "../../core/contracts/target.js";
import { connectTarget } from "../../connectors/postgres/connect.js";
import { openPostgresRowReader } from "../../connectors/postgres/row-reader.js";
import { openTargetText, type TargetTextAsker } from "../../connectors/postgres/target-text.js";
import { openSqliteRowReader, type SqliteRowReader } from "../../connectors/sqlite/row-reader.js";
import { makePlan, type PlanRequest } from "../../core/plan/make-plan.js";
import { systemClock } from "../../core/clock.js";
import { Secret } from "../../core/secret.js";
import { theGroup, writerEpoch } from "../../core/vocabulary/ids.js";
import { comparePositions, type Position } from "../../core/vocabulary/position.js";
import { openSqliteInspector } from "../../connectors/sqlite/inspect/inspector.js";
import { isOfTheSession, takeBatch } from "./apply-batch.js";
import { freshBeginning } from "./follower.js";
import { freshDatabase, type TestDatabase } from "./postgres.js";
import { SourceFile } from "./sqlite.js";
import { windowOf } from "./synthetic-window.js";

const never = new AbortController().signal;

export class TwoSides implements AsyncDisposable {
  readonly #abort = new AbortController();
  readonly #batches: AsyncIterator<Batch>;
  readonly #readers: AsyncDisposable[] = [];
  #pending: Promise<IteratorResult<Batch>> | null = null;
  #running: Promise<void> | null = null;

  private constructor(
    readonly file: SourceFile,
    readonly database: TestDatabase,
    readonly plan: TargetPlan,
    private readonly parts: { readonly source: Source; readonly target: Target; session: TargetSession; readonly text: TargetTextAsker },
  ) {
    this.#batches = parts.source.batches(freshBeginning, this.#abort.signal)[Symbol.asyncIterator]();
  }

  /** `ddl` runs before the capture is installed. The target is empty until `sync`. */
  static async of(ddl: string, tables: PlanRequest["settings"]["tables"] = new Map()): Promise<TwoSides> {
    return await TwoSides.over(await SourceFile.of(ddl), tables);
  }

  /** `server`: url of another one than the shared. */
  static async over(file: SourceFile, tables: PlanRequest["settings"]["tables"] = new Map(), server?: string): Promise<TwoSides> {
    using inspector = openSqliteInspector(file.path, { group: theGroup });
    const catalog = inspector.catalog();
    const profiles = new Map(catalog.tables.map((table) => [table.description.table, inspector.profile(table)]));
    const settings = { tables, onlyListedTables: false, target: { url: null, schema: "public" } };
    const { pipeline } = file;
    const { plan, findings } = makePlan({ pipeline, prefix: pipeline, settings, catalog, profiles, now: new Date(0) });
    const errors = findings.filter(({ severity }) => severity === "error");
    if (errors.length > 0) throw new Error(JSON.stringify(errors));
    const database = await freshDatabase(server);
    const target = await connectTarget({ url: database.url, pipeline }, never);
    await target.prepare(plan, () => Promise.resolve(), never);
    const session = await target.own({ group: theGroup, direction: "forward", takeoverMs: 30_000 }, never);
    const source = await file.open();
    return new TwoSides(file, database, plan, { source, target, session, text: openTargetText(new Secret(database.url)) });
  }

  get target(): Target {
    return this.parts.target;
  }

  exec(sql: string): void {
    this.file.application().exec(sql);
  }

  async sourceReader(): Promise<SqliteRowReader> {
    const { path, pipeline } = this.file;
    const reader = openSqliteRowReader({ path, pipeline, group: theGroup, plan: this.plan, targetText: this.parts.text.ask });
    this.#readers.push(reader);
    return reader;
  }

  async targetReader(source: SqliteRowReader): Promise<RowReader> {
    const { pipeline } = this.file;
    const describe = (table: Parameters<SqliteRowReader["describe"]>[0]) => source.describe(table);
    const reader = await openPostgresRowReader({ url: this.database.url, pipeline, group: theGroup, plan: this.plan, describe }, never);
    this.#readers.push(reader);
    return reader;
  }

  /** Until the target has all that is committed now. Not while `run` runs. */
  async sync(): Promise<Position> {
    const wanted = this.file.newestSeq();
    for (;;) {
      const { applied } = this.parts.session;
      const done = this.parts.source.progress().every(({ state }) => state === "done");
      if (applied !== null && applied.position.order >= wanted && done) return applied.position;
      await this.step();
    }
  }

  /** Applies one batch; waits for one. */
  async step(): Promise<void> {
    this.#pending ??= this.#batches.next();
    const { value, done } = await this.#pending;
    this.#pending = null;
    if (done === true) return;
    const taken = await takeBatch(value, this.#abort.signal);
    for (let applied = false; !applied; ) {
      try {
        const { session } = this.parts;
        await session.apply(windowOf({ before: session.applied, ...taken }), this.#abort.signal);
        applied = true;
      } catch (thrown) {
        if (!isOfTheSession(thrown)) throw thrown;
        await this.#standBy();
        // Its COMMIT may have come through.
        const { applied: now } = this.parts.session;
        applied = now !== null && comparePositions(now.position, value.position) >= 0;
      }
    }
    const { session, source } = this.parts;
    await source.acknowledged(value.position, writerEpoch(1));
    if (taken.phase === "streaming" && session.unfinished()) await session.finish(this.#abort.signal);
  }

  /** While `run` runs: until the target has all that is committed now. */
  async settled(): Promise<void> {
    const wanted = this.file.newestSeq();
    while ((this.parts.session.applied?.position.order ?? 0) < wanted) await systemClock.delay(10, this.#abort.signal);
  }

  /** As a sink that was replaced, that has lost its session, or whose direction is not active: asks again until it may. */
  async #standBy(): Promise<void> {
    await this.parts.session[Symbol.asyncDispose]();
    for (;;) {
      try {
        this.parts.session = await this.parts.target.own({ group: theGroup, direction: "forward", takeoverMs: 30_000 }, this.#abort.signal);
        return;
      } catch (thrown) {
        if (!isOfTheSession(thrown)) throw thrown;
        await systemClock.delay(20, this.#abort.signal);
      }
    }
  }

  /** Replicates until it is disposed. `beforeEach`: to be slow. */
  run(beforeEach: () => Promise<void> = () => Promise.resolve()): void {
    this.#running = (async () => {
      while (!this.#abort.signal.aborted) {
        await beforeEach();
        await this.step();
      }
    })().catch((thrown: unknown) => {
      if (!this.#abort.signal.aborted) throw thrown;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    await this.#running;
    await this.#pending?.catch(() => {});
    await this.#batches.return?.().catch(() => {});
    for (const reader of this.#readers) await reader[Symbol.asyncDispose]();
    await this.parts.text[Symbol.asyncDispose]();
    await this.parts.session[Symbol.asyncDispose]();
    await this.parts.target[Symbol.asyncDispose]();
    await this.database[Symbol.asyncDispose]();
    await this.file[Symbol.asyncDispose]();
  }
}
