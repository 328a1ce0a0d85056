/**
 * A live DuckDB file and the PostgreSQL it is replicated to, in one process and without a log between them. The source is read from the beginning on;
 * the target gets what was told when it is synced.
 */
import { randomUUID } from "node:crypto";
import { connectTarget } from "../../connectors/postgres/connect.js";
import { openPostgresRowReader } from "../../connectors/postgres/row-reader.js";
import { openTargetText, type TargetTextAsker } from "../../connectors/postgres/target-text.js";
import type { DuckDbSource } from "../../connectors/duckdb/duckdb-source.js";
import { type DuckDbRowReader, openDuckDbRowReader } from "../../connectors/duckdb/row-reader.js";
import { type Clock, systemClock } from "../../core/clock.js";
import type { TargetPlan } from "../../core/contracts/plan.js";
import type { RowReader } from "../../core/contracts/row-reader.js";
import type { Target, TargetSession } from "../../core/contracts/target.js";
import { makePlan, type PlanRequest } from "../../core/plan/make-plan.js";
import { Secret } from "../../core/secret.js";
import { markerId, type TableId, theGroup, writerEpoch } from "../../core/vocabulary/ids.js";
import { comparePositions, type Position } from "../../core/vocabulary/position.js";
import { applyWindow, isOfTheSession, takeBatch, type TakenWindow } from "./apply-batch.js";
import { DuckDbFile, engineProgram } from "./duckdb.js";
import { freshBeginning } from "./follower.js";
import { freshDatabase, type TestDatabase } from "./postgres.js";

const never = new AbortController().signal;

interface Parts {
  readonly source: DuckDbSource;
  readonly target: Target;
  session: TargetSession;
  readonly text: TargetTextAsker;
}

export class DuckDbSides implements AsyncDisposable {
  readonly #abort = new AbortController();
  readonly #readers: AsyncDisposable[] = [];
  readonly #running: Promise<void>;
  readonly #waiting: TakenWindow[] = [];
  #failure: unknown = null;

  private constructor(
    readonly file: DuckDbFile,
    readonly database: TestDatabase,
    readonly plan: TargetPlan,
    private readonly parts: Parts,
  ) {
    this.#running = this.#replicate().catch((thrown: unknown) => {
      if (!this.#abort.signal.aborted) this.#failure = thrown;
    });
  }

  static async of(ddl: string, tables: PlanRequest["settings"]["tables"] = new Map()): Promise<DuckDbSides> {
    const file = await DuckDbFile.of(ddl);
    const { pipeline } = file;
    await using inspector = await file.inspector();
    const catalog = await inspector.catalog();
    const profiles = new Map<TableId, Awaited<ReturnType<typeof inspector.profile>>>();
    for (const table of catalog.tables) profiles.set(table.description.table, await inspector.profile(table));
    const settings = { tables, onlyListedTables: false, target: { url: null, schema: "public" } };
    const { plan, findings } = makePlan({ pipeline, prefix: pipeline, settings, catalog, profiles, now: new Date(0) });
    const errors = findings.filter(({ severity }) => severity === "error");
    if (errors.length > 0) throw new Error(JSON.stringify(errors));
    const database = await freshDatabase();
    const target = await connectTarget({ url: database.url, pipeline }, never);
    await target.prepare(plan, () => Promise.resolve(), never);
    const session = await target.own({ group: theGroup, direction: "forward", takeoverMs: 30_000 }, never);
    const source = await file.open();
    return new DuckDbSides(file, database, plan, { source, target, session, text: openTargetText(new Secret(database.url)) });
  }

  async sourceReader(heldMs = 0, clock: Clock = systemClock): Promise<DuckDbRowReader> {
    const { path, pipeline, stateDirectory } = this.file;
    const place = { path, pipeline, stateDirectory, group: theGroup, plan: this.plan, program: engineProgram };
    const reader = openDuckDbRowReader({ ...place, targetText: this.parts.text.ask, memoryMb: 300, heldMs, clock });
    this.#readers.push(reader);
    return reader;
  }

  async targetReader(source: DuckDbRowReader): Promise<RowReader> {
    const { pipeline } = this.file;
    const describe = (table: Parameters<DuckDbRowReader["describe"]>[0]) => source.describe(table);
    const reader = await openPostgresRowReader({ url: this.database.url, pipeline, group: theGroup, plan: this.plan, describe }, never);
    this.#readers.push(reader);
    return reader;
  }

  /** Until what is committed now was told, and shown. */
  async told(): Promise<Position> {
    using requests = this.file.requests(60_000);
    return await requests.marker(markerId(randomUUID()));
  }

  /** Until what is committed now was told and applied, and everything was read. */
  async sync(): Promise<Position> {
    do await this.told();
    while (this.parts.source.progress().some(({ state }) => state !== "done"));
    for (let window = this.#waiting[0]; window !== undefined; window = this.#waiting[0]) {
      try {
        await applyWindow(this.parts.session, window, never);
        this.#waiting.shift();
      } catch (thrown) {
        if (!isOfTheSession(thrown)) throw thrown;
        await this.#anotherSession();
      }
    }
    const { applied } = this.parts.session;
    if (applied === null) throw new Error("nothing was applied");
    return applied.position;
  }

  /** What its COMMIT has brought through is not to be applied again. */
  async #anotherSession(): Promise<void> {
    await this.parts.session[Symbol.asyncDispose]();
    this.parts.session = await this.parts.target.own({ group: theGroup, direction: "forward", takeoverMs: 30_000 }, never);
    const { applied } = this.parts.session;
    const [first] = this.#waiting;
    if (applied !== null && first !== undefined && comparePositions(applied.position, first.to) >= 0) this.#waiting.shift();
  }

  async #replicate(): Promise<void> {
    const { signal } = this.#abort;
    for await (const batch of this.parts.source.batches(freshBeginning, signal)) {
      this.#waiting.push(await takeBatch(batch, signal));
      await this.parts.source.acknowledged(batch.position, writerEpoch(1));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    await this.#running;
    for (const reader of this.#readers) await reader[Symbol.asyncDispose]();
    await this.parts.text[Symbol.asyncDispose]();
    await this.parts.session[Symbol.asyncDispose]();
    await this.parts.target[Symbol.asyncDispose]();
    await this.database[Symbol.asyncDispose]();
    await this.file[Symbol.asyncDispose]();
    if (this.#failure !== null) throw this.#failure;
  }
}
