/** The owner of the file as a target: the lock, one connection, the plan as it was when it took over. */
import type { Clock } from "../../../core/clock.js";
import type { AppliedCut, Window } from "../../../core/contracts/log.js";
import type { Conservation, LeftOut, TargetSession } from "../../../core/contracts/target.js";
import { passing } from "../../../core/crash-points.js";
import { TailraceError } from "../../../core/errors.js";
import type { OwnerEpoch, TableId } from "../../../core/vocabulary/ids.js";
import type { TableDescription } from "../../../core/vocabulary/table.js";
import { asSourceError, type Database, openDatabase, withSqliteErrors } from "../database.js";
import { FileIdentity } from "../file-identity.js";
import { isInstalled, readInstalled } from "../installed.js";
import { readCatalogue } from "../inspect/catalogue.js";
import { ordinaryTables } from "../schema-check.js";
import { SchemaLook } from "../schema-look.js";
import { readTableFacts } from "../table-facts.js";
import { immediately } from "../write.js";
import { type ApplyContext, applyWindow } from "./apply-window.js";
import { FileTable } from "./file-table.js";
import { ForeignKeys } from "./foreign-keys.js";
import { type Place, raiseEpoch, readState, readTables } from "./state.js";
import type { TargetLock } from "./target-lock.js";

export interface SessionOptions {
  readonly path: string;
  readonly place: Place;
  readonly clock: Clock;
}

/** For another process that writes: only while taking over. */
const patientMs = 5_000;

export class SqliteSession implements TargetSession {
  #applied: AppliedCut | null;
  #busy = false;
  #closed = false;
  /** For which the tables of the context were read. */
  #schema: unknown;

  private constructor(
    private readonly options: SessionOptions,
    private readonly lock: TargetLock,
    private readonly identity: FileIdentity,
    private context: ApplyContext,
    applied: AppliedCut | null,
  ) {
    this.#applied = applied;
    this.#schema = schemaOf(context.database);
  }

  /** The lock is the session's from here on. */
  static open(options: SessionOptions, lock: TargetLock): SqliteSession {
    const { path, place, clock } = options;
    const identity = new FileIdentity(path);
    const database = openDatabase(path, { readonly: false, busyTimeoutMs: patientMs });
    try {
      // Rows are written as the stream tells them; foreign-keys.ts asks at the end. An applied cut that power loss takes back was never applied.
      database.pragma("foreign_keys = OFF");
      database.pragma("synchronous = FULL");
      database.pragma("temp_store = MEMORY");
      return withSqliteErrors(path, () => {
        passing("sink.own-before");
        const state = immediately(database, () => raiseEpoch(database, place));
        if (state === null) throw readState(database, place.group) === null ? missing(place) : inactive(place);
        passing("sink.owned");
        identity.check();
        identity.holdSides();
        return new SqliteSession(options, lock, identity, contextOf(database, place, state.epoch, clock), state.applied);
      });
    } catch (thrown) {
      database.close();
      throw thrown;
    }
  }

  get epoch(): OwnerEpoch {
    return this.context.epoch;
  }

  readonly follows = false;

  get applied(): AppliedCut | null {
    return this.#applied;
  }

  /** The operating system holds the lock as long as the process lives; the file itself may have been replaced. */
  assertOwned(): void {
    this.identity.check();
  }

  /** The file's rows are read as they are written: nothing can be done ahead. */
  async stage(): Promise<void> {}

  async apply(window: Window, signal: AbortSignal): Promise<ReadonlyMap<TableId, Conservation>> {
    if (this.#busy) throw new TailraceError("internal", { what: "a target session was asked for two things at once" });
    this.#busy = true;
    try {
      this.identity.check();
      this.#look();
      const counts = await applyWindow(this.context, window, signal);
      this.#applied = window.after();
      return counts;
    } catch (thrown) {
      throw asSourceError(this.options.path, thrown);
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
    this.context.database.close();
    await this.identity[Symbol.asyncDispose]();
    this.lock[Symbol.dispose]();
  }

  /** Somebody may have altered a table: what is compiled speaks of columns that were. Our own triggers that come and go say so as well. */
  #look(): void {
    const { database, place, epoch, clock } = this.context;
    const schema = schemaOf(database);
    if (schema === this.#schema) return;
    this.context = contextOf(database, place, epoch, clock);
    this.#schema = schema;
  }
}

const schemaOf = (database: Database): unknown => database.pragma("schema_version", { simple: true });

function contextOf(database: Database, place: Place, epoch: OwnerEpoch, clock: Clock): ApplyContext {
  const stored = readTables(database, place.group);
  const descriptions = describe(database, place);
  const planned = stored.filter((table) => table.planned);
  const look = new SchemaLook(database);
  const tables = new Map(
    planned.map(({ plan }): [TableId, FileTable] => {
      const facts = readTableFacts(database, look, plan.source);
      const description = descriptions.get(plan.source);
      if (facts === null || description === undefined) throw gone(plan.source);
      return [plan.source, new FileTable(database, plan, facts, description)];
    }),
  );
  const former = new Set(stored.filter((table) => !table.planned).map(({ plan }) => plan.source));
  return { database, place, epoch, clock, tables, former, references: new ForeignKeys(database, ordinaryTables(database)) };
}

/** As the capture knows the tables, storage classes included; a file without it as it describes itself. */
function describe(database: Database, { group }: Place): ReadonlyMap<string, TableDescription> {
  const catalogue = readCatalogue(database, group).tables.map(({ description }) => description);
  const installed = isInstalled(database) ? readInstalled(database).map(({ description }) => description) : [];
  return new Map([...catalogue, ...installed].map((description) => [description.table, description]));
}

const gone = (table: TableId): TailraceError =>
  new TailraceError("plan.changed", { what: "A planned table is not in the file any more", where: { table } });
const missing = ({ pipeline }: Place): TailraceError =>
  new TailraceError("plan.missing", { what: "The file holds no plan of this pipeline", where: { pipeline } });
const inactive = ({ pipeline, group, direction }: Place): TailraceError =>
  new TailraceError("cutover.switched", { what: "This direction is no longer active", where: { pipeline, group, direction } });
