/** The captured tables of a plan, ready to be read; made anew whenever the source's schema or a description has moved. */
import { TailraceError } from "../../core/errors.js";
import type { TargetPlan, TablePlan } from "../../core/contracts/plan.js";
import { compileHashedRow, type HashedRow } from "../../core/mapping/hashed-row.js";
import { compileRowNames, type RowNames } from "../../core/mapping/row-names.js";
import { compileMapping } from "../../core/mapping/table-mapping.js";
import type { GroupId, PipelineId, TableId } from "../../core/vocabulary/ids.js";
import { type Position, position } from "../../core/vocabulary/position.js";
import type { TableDescription } from "../../core/vocabulary/table.js";
import type { Database, Statement } from "./database.js";
import { checkCapture } from "./schema-check.js";
import type { InstalledTable } from "./installed.js";
import { LogReader } from "./log-reader.js";
import { TableReader } from "./table-reader.js";

export interface ReadTable {
  readonly number: number;
  readonly description: TableDescription;
  readonly reader: TableReader;
  readonly hashed: HashedRow;
  readonly names: RowNames;
}

export interface ReadableOptions {
  readonly path: string;
  readonly pipeline: PipelineId;
  readonly group: GroupId;
  readonly plan: TargetPlan;
}

export class ReadableTables {
  readonly #plans: ReadonlyMap<TableId, TablePlan>;
  #seen = "";
  #installed = new Map<TableId, InstalledTable>();
  #tables = new Map<TableId, ReadTable>();
  #logReader: LogReader | null = null;
  #label: Statement | null = null;
  #log: { readonly at: Position; readonly oldest: number } = { at: position(0, 0), oldest: 0 };

  constructor(
    private readonly database: Database,
    private readonly options: ReadableOptions,
  ) {
    this.#plans = new Map(options.plan.tables.map((table) => [table.source, table]));
  }

  /** Legal in a read transaction, first of all. Answers its label. */
  check(): Position {
    const version = Number(this.database.pragma("schema_version", { simple: true }));
    if (this.#label === null || !this.#seen.startsWith(`${version}/`)) {
      // Refuses whatever is not installed as it should be, before anything of ours is read.
      checkCapture(this.database, this.options);
      this.#label = this.database
        .prepare(
          `SELECT s.history, (SELECT coalesce(max(seq), 0) FROM _cdc_log), (SELECT coalesce(min(seq), 0) FROM _cdc_log),
             (SELECT coalesce(sum(schema), 0) || '/' || count(*) FROM _cdc_tables) FROM _cdc_state AS s WHERE s.id = ?`,
        )
        .raw();
    }
    const row = this.#label.get(this.options.group) as [number, number, number, string] | undefined;
    if (row === undefined) {
      throw new TailraceError("source.log-damaged", {
        what: "The row of this group in _cdc_state is gone",
        where: { path: this.options.path },
      });
    }
    const [history, newest, oldest, schemas] = row;
    this.#forget(`${version}/${schemas}`);
    this.#log = { at: position(history, newest), oldest };
    return this.#log.at;
  }

  /** As of the last check. */
  log(): { readonly at: Position; readonly oldest: number } {
    return this.#log;
  }

  logReader(): LogReader {
    return (this.#logReader ??= new LogReader(this.database, new Map([...this.#installed.values()].map((table) => [table.number, table]))));
  }

  get(table: TableId): ReadTable {
    const known = this.#tables.get(table);
    if (known !== undefined) return known;
    const plan = this.#plans.get(table);
    const installed = this.#installed.get(table);
    if (plan === undefined || installed?.state !== "captured") {
      throw new TailraceError("verify.differs-in-kind", {
        what: plan === undefined ? "The plan has no such table" : "The table is not captured",
        where: { table },
      });
    }
    const fresh = this.#compile(plan, installed);
    this.#tables.set(table, fresh);
    return fresh;
  }

  /** By the number that rows of the log carry; null: not a table of the plan. */
  byNumber(number: number): ReadTable | null {
    for (const { number: candidate, description, state } of this.#installed.values()) {
      if (candidate === number) return state === "captured" && this.#plans.has(description.table) ? this.get(description.table) : null;
    }
    return null;
  }

  #compile(plan: TablePlan, { number, description }: InstalledTable): ReadTable {
    try {
      const mapping = compileMapping(plan, description);
      return {
        number,
        description,
        reader: new TableReader(this.database, description),
        hashed: compileHashedRow(plan, mapping),
        names: compileRowNames(plan, description, mapping),
      };
    } catch (cause) {
      if (!(cause instanceof TailraceError)) throw cause;
      throw new TailraceError("verify.differs-in-kind", { what: cause.message, where: cause.where, cause });
    }
  }

  #forget(seen: string): void {
    if (seen === this.#seen) return;
    this.#seen = seen;
    const { tables } = checkCapture(this.database, this.options);
    this.#installed = new Map(tables.map((table) => [table.description.table, table]));
    this.#tables = new Map();
    this.#logReader = null;
  }
}
