/** One table of the plan, ready to be written to: its SQL, its mapping, and what a refused value is called. */
import type { Chunk } from "../../core/contracts/change.js";
import type { TablePlan } from "../../core/contracts/plan.js";
import { TailraceError } from "../../core/errors.js";
import type { Refusal, TableMapping, TargetRow } from "../../core/mapping/mapped.js";
import { nameKey } from "../../core/apply/name-key.js";
import { compileMapping } from "../../core/mapping/table-mapping.js";
import { formatPosition, type Position } from "../../core/vocabulary/position.js";
import { keyOf, type TableDescription } from "../../core/vocabulary/table.js";
import type { Key, Row } from "../../core/vocabulary/value.js";
import type { Connection, Query } from "./connection.js";
import type { Folded } from "../../core/apply/fold.js";
import { type BaseTypes, type MappedRange, TableStatements } from "./table-statements.js";

/** A fold as statements. The keys of `upserts` and `deletes` are disjoint. */
export interface TableWrites {
  readonly upserts: readonly Query[];
  readonly deletes: readonly Query[];
  readonly rows: number;
}

export class TargetTable {
  readonly statements: TableStatements;
  readonly #mappings = new WeakMap<TableDescription, TableMapping>();

  constructor(
    readonly plan: TablePlan,
    number: number,
    bases: BaseTypes,
    /** An immediate UNIQUE is on it and nothing cascades from it: a freed value must be gone before it is taken again. */
    readonly deletesFirst: boolean,
  ) {
    this.statements = new TableStatements(plan, number, bases);
  }

  /** The plan is the newest one: `prepare` fences off whoever has loaded an older. Throws `plan.changed` when the key has changed. */
  mappingOf(table: TableDescription): TableMapping {
    const known = this.#mappings.get(table);
    if (known !== undefined) return known;
    const mapping = compileMapping(this.plan, table, "older");
    this.#mappings.set(table, mapping);
    return mapping;
  }

  writes(entries: Iterable<Folded>): TableWrites {
    const { statements } = this;
    const born = statements.rows();
    const other = statements.rows();
    const deleted = statements.keys();
    for (const entry of entries) {
      if (entry.told === null) deleted.add(this.mapKey(entry.table, entry.key, entry.at));
      else (entry.born ? born : other).add(this.mapRow(entry.table, entry.told.after, entry.at));
    }
    const upserts = [
      ...(born.count === 0 ? [] : [statements.upsert(born, true)]),
      ...(other.count === 0 ? [] : [statements.upsert(other, false)]),
    ];
    const deletes = deleted.count === 0 ? [] : [statements.delete(deleted)];
    return { upserts, deletes, rows: born.count + other.count + deleted.count };
  }

  mapRow(table: TableDescription, row: Row, at: Position): TargetRow {
    const mapped = this.mappingOf(table).map(row);
    return mapped.kind === "row" ? mapped.row : this.#refused(mapped, keyOf(table, row), at);
  }

  mapKey(table: TableDescription, key: Key, at: Position): TargetRow {
    const mapped = this.mappingOf(table).mapKey(key);
    return mapped.kind === "row" ? mapped.row : this.#refused(mapped, key, at);
  }

  mapRange(table: TableDescription, scope: Chunk["scope"], at: Position): MappedRange {
    return {
      after: scope.after === null ? null : this.mapKey(table, scope.after, at),
      upTo: scope.upTo === null ? null : this.mapKey(table, scope.upTo, at),
    };
  }

  #refused(mapped: Refusal, key: Key, at: Position): never {
    throw new TailraceError(mapped.code, {
      what: mapped.reason,
      where: { table: this.plan.source, column: mapped.column, key: nameKey(key), position: formatPosition(at) },
    });
  }
}

/** What the catalogue says about types and indexes, asked once per session. */
export async function loadTables(connection: Connection, plans: readonly TablePlan[]): Promise<readonly TargetTable[]> {
  const bases = await readBaseTypes(connection, plans);
  const immediate = await tablesWithImmediateUnique(connection);
  return plans.map((plan, i) => new TargetTable(plan, i, bases, immediate.has(`${plan.target.schema}\0${plan.target.name}`)));
}

async function readBaseTypes(connection: Connection, plans: readonly TablePlan[]): Promise<BaseTypes> {
  const types = [...new Set(plans.flatMap((plan) => plan.columns.map((column) => column.type)))];
  const rows = await connection.rows<{ type: string; base: string }>(
    // With a length of -1, not NULL: NULL prints bit and character, which mean bit(1) and character(1) when read again.
    "SELECT t.type, format_type(t.type::regtype, -1) AS base FROM unnest($1::text[]) AS t (type)",
    [types],
  );
  return new Map(rows.map(({ type, base }) => [type, base]));
}

async function tablesWithImmediateUnique(connection: Connection): Promise<ReadonlySet<string>> {
  const rows = await connection.rows<{ schema: string; name: string }>(
    `SELECT DISTINCT n.nspname AS schema, t.relname AS name
     FROM pg_index AS i JOIN pg_class AS t ON t.oid = i.indrelid JOIN pg_namespace AS n ON n.oid = t.relnamespace
     WHERE i.indisunique AND i.indimmediate AND NOT i.indisprimary AND n.nspname NOT IN ('pg_catalog', 'pg_toast', 'tailrace')
       AND NOT EXISTS (SELECT FROM pg_constraint AS f WHERE f.contype = 'f' AND f.confrelid = t.oid AND f.confdeltype IN ('c', 'n', 'd'))`,
  );
  return new Set(rows.map(({ schema, name }) => `${schema}\0${name}`));
}
