/** The captured tables of a plan, ready to be read for comparison. Compiled anew when a description has changed. */
import type { TablePlan, TargetPlan } from "../../core/contracts/plan.js";
import { TailraceError } from "../../core/errors.js";
import { compileHashedRow, type HashedRow } from "../../core/mapping/hashed-row.js";
import { compileRowNames, type RowNames } from "../../core/mapping/row-names.js";
import { compileMapping } from "../../core/mapping/table-mapping.js";
import type { PipelineId, TableId } from "../../core/vocabulary/ids.js";
import { type CanonicalSql, canonicalSql } from "./canonical-sql.js";
import type { CaptureDirectory, InstalledTable } from "./capture-directory.js";
import { RowParser } from "./values.js";

export interface ReadTable {
  readonly installed: InstalledTable;
  readonly parser: RowParser;
  readonly hashed: HashedRow;
  readonly names: RowNames;
  /** null: rows are hashed by the mapping alone. */
  readonly canonical: CanonicalSql | null;
}

export class ReadableTables {
  readonly #plans: ReadonlyMap<TableId, TablePlan>;
  #seen = "";
  #installed: readonly InstalledTable[] = [];
  #tables = new Map<TableId, ReadTable>();

  constructor(
    private readonly directory: CaptureDirectory,
    private readonly options: { readonly pipeline: PipelineId; readonly plan: TargetPlan },
  ) {
    this.#plans = new Map(options.plan.tables.map((table) => [table.source, table]));
    this.look();
  }

  /** What is installed now; true: it is not what it was. */
  look(): boolean {
    const installed = this.directory.installedFor(this.options.pipeline);
    const seen = JSON.stringify(installed.tables);
    if (seen === this.#seen) return false;
    this.#seen = seen;
    this.#installed = installed.tables.filter(({ state }) => state === "captured");
    this.#tables = new Map();
    return true;
  }

  all(): readonly InstalledTable[] {
    return this.#installed;
  }

  get(table: TableId): ReadTable {
    const known = this.#tables.get(table);
    if (known !== undefined) return known;
    const plan = this.#plans.get(table);
    const installed = this.#installed.find(({ description }) => description.table === table);
    if (plan === undefined || installed === undefined) {
      throw new TailraceError("verify.differs-in-kind", {
        what: plan === undefined ? "The plan has no such table" : "The table is not captured",
        where: { table },
      });
    }
    const fresh = compile(plan, installed);
    this.#tables.set(table, fresh);
    return fresh;
  }

  /** null: not a table of the plan. */
  byNumber(number: number): ReadTable | null {
    const found = this.#installed.find((table) => table.number === number);
    return found === undefined || !this.#plans.has(found.description.table) ? null : this.get(found.description.table);
  }
}

function compile(plan: TablePlan, installed: InstalledTable): ReadTable {
  const { description } = installed;
  try {
    const mapping = compileMapping(plan, description);
    return {
      installed,
      parser: new RowParser(installed),
      hashed: compileHashedRow(plan, mapping),
      names: compileRowNames(plan, description, mapping),
      canonical: canonicalSql(plan, description),
    };
  } catch (cause) {
    if (!(cause instanceof TailraceError)) throw cause;
    throw new TailraceError("verify.differs-in-kind", { what: cause.message, where: cause.where, cause });
  }
}
