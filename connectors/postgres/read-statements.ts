/** The SQL by which one target table is read for comparison. `at` is a derived table of one row, the label; it is in each statement. */
import type { KeyScope } from "../../core/contracts/change.js";
import type { CanonicalColumn } from "../../core/mapping/canonical.js";
import { compileRowNames, type RowNames } from "../../core/mapping/row-names.js";
import type { TargetRow } from "../../core/mapping/mapped.js";
import { compileMapping } from "../../core/mapping/table-mapping.js";
import { origin } from "../../core/vocabulary/position.js";
import type { TableDescription } from "../../core/vocabulary/table.js";
import type { Key } from "../../core/vocabulary/value.js";
import { canonicalRowSql } from "./canonical-sql.js";
import type { Query } from "./connection.js";
import { comparesByBytes } from "./create-table.js";
import { qualified, quoteName } from "./quote.js";
import type { TargetTable } from "./target-table.js";

interface Read extends Query {
  readonly values: readonly unknown[];
}

export class ReadStatements {
  readonly names: RowNames;
  readonly #from: string;
  readonly #key: string;
  readonly #order: string;
  readonly #canonical: string;
  readonly #cells: string;

  constructor(
    private readonly table: TargetTable,
    readonly description: TableDescription,
    columns: readonly CanonicalColumn[],
  ) {
    const { plan } = table;
    this.names = compileRowNames(plan, description, compileMapping(plan, description));
    const keys = plan.key.map((name) => ({
      name: `t.${quoteName(name)}`,
      type: plan.columns.find(({ target }) => target === name)?.type ?? "",
    }));
    this.#from = `${qualified(plan.target)} AS t`;
    this.#key = `ARRAY[${keys.map(({ name }) => `${name}::text`).join(", ")}]`;
    this.#order = keys.map(({ name, type }) => (comparesByBytes(type) ? `${name} COLLATE "C"` : name)).join(", ");
    this.#canonical = canonicalRowSql(columns, "t");
    this.#cells = `ARRAY[${columns.map(({ target }) => `t.${quoteName(target)}::text`).join(", ")}]::text[]`;
  }

  /** OFFSET 0 keeps the server from computing each hash twice. */
  digest(scope: KeyScope, label: string): Read {
    const { where, values } = this.#within(scope);
    return {
      text: `SELECT at.*, q.* FROM ${label}, (
  SELECT count(*) AS rows, sum(('x' || left(h, 16))::bit(64)::bigint)::text AS high, sum(('x' || right(h, 16))::bit(64)::bigint)::text AS low
  FROM (SELECT md5(${this.#canonical}) AS h FROM ${this.#from}${where} OFFSET 0) AS hashed) AS q`,
      values,
    };
  }

  digests(scope: KeyScope, label: string, limit: number): Read {
    const { where, values } = this.#within(scope);
    return {
      text: `SELECT at.*, q.* FROM ${label} LEFT JOIN (SELECT ${this.#key} AS key, md5(${this.#canonical}) AS digest
  FROM ${this.#from}${where} LIMIT ${limit}) AS q ON true`,
      values,
    };
  }

  byKey(keys: readonly Key[], label: string): Read {
    const { join, values } = this.table.statements.amongKeys(this.#mapped(keys));
    return {
      text: `SELECT at.*, q.* FROM ${label} LEFT JOIN (SELECT ${this.#key} AS key, ${this.#cells} AS cells
  FROM ${this.#from} ${join}) AS q ON true`,
      values,
    };
  }

  /** `locker` is 0 unless a transaction has locked or changed the row since, or is about to. */
  versions(keys: readonly Key[], label: string): Read {
    const { join, values } = this.table.statements.amongKeys(this.#mapped(keys));
    return {
      text: `SELECT at.*, q.* FROM ${label} LEFT JOIN (SELECT ${this.#key} AS key, t.tableoid || '/' || t.ctid || '/' || t.xmin AS version,
    t.xmax::text AS locker FROM ${this.#from} ${join}) AS q ON true`,
      values,
    };
  }

  /**
   * Each of these keys with its row, in the columns named, or NULL where there is none: as the server writes values to its log, which is not always what a
   * cast says (booleans, padded text).
   */
  printed(keys: readonly Key[], columns: readonly string[]): Read {
    const { join, values, given } = this.table.statements.amongKeys(this.#mapped(keys));
    return {
      text: `SELECT to_jsonb(${printedTexts(given)}) AS key,
    CASE WHEN t.ctid IS NOT NULL THEN to_jsonb(${printedTexts(columns.map((name) => `t.${quoteName(name)}`))}) END AS cells FROM ${this.#from} RIGHT ${join}`,
      values,
    };
  }

  /** Nobody writes to the table while it is held. */
  lock(): string {
    return `LOCK TABLE ${qualified(this.table.plan.target)} IN SHARE MODE`;
  }

  /** Transactions that have written to the table, or may have, and whose end is not seen yet. */
  writers(): Read {
    return {
      text: `SELECT DISTINCT l.virtualtransaction AS writer FROM pg_locks AS l
  WHERE l.locktype = 'relation' AND l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()
    AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND l.relation IN (SELECT $1::regclass::oid UNION SELECT relid::oid FROM pg_partition_tree($1::regclass))`,
      values: [qualified(this.table.plan.target)],
    };
  }

  keyAt(scope: KeyScope, rows: number): Read {
    const { where, values } = this.#within(scope);
    return { text: `SELECT ${this.#key} AS key FROM ${this.#from}${where} ORDER BY ${this.#order} LIMIT 1 OFFSET ${rows - 1}`, values };
  }

  /** A key that no mapping takes is not at the target. */
  #mapped(keys: readonly Key[]): readonly TargetRow[] {
    return keys.flatMap((key): readonly TargetRow[] => {
      const one = this.table.mappingOf(this.description).mapKey(key);
      return one.kind === "row" ? [one.row] : [];
    });
  }

  #within(scope: KeyScope): { readonly where: string; readonly values: readonly (string | null)[] } {
    const range = this.table.mapRange(this.description, scope, origin);
    const conditions = this.table.statements.within(range, 1);
    return {
      where: conditions.length === 0 ? "" : ` WHERE ${conditions.join(" AND ")}`,
      values: [...(range.after ?? []), ...(range.upTo ?? [])],
    };
  }
}

/** A composite of NULLs alone is not NULL. */
const printedTexts = (values: readonly string[]): string =>
  `ARRAY[${values.map((value) => `CASE WHEN ${value} IS DISTINCT FROM NULL THEN format('%s', ${value}) END`).join(", ")}]::text[]`;
