/**
 * A target table that is there before us is taken only if it can hold exactly what the plan says and nothing on it would act on our writes:
 * everything that differs, and every constraint and trigger in the way, is named.
 */
import type { ColumnPlan, TablePlan } from "../../core/contracts/plan.js";
import { TailraceError } from "../../core/errors.js";
import { type Alteration, alterationOf, isPlanned } from "./alter-table.js";
import type { Connection } from "./connection.js";
import type { FoundColumn, FoundTable } from "./found-table.js";
import { qualified } from "./quote.js";

/**
 * `ours`: this pipeline has written to it before. Then rows are expected, constraints are the operator's own decision, and columns are made to fit
 * the plan. Null: there is no such table.
 */
export async function examineExisting(connection: Connection, table: TablePlan, ours: boolean): Promise<Alteration | null> {
  const found = await findTable(connection, table);
  if (found === null) return null;
  const where = { table: table.source, target: qualified(table.target) };
  const differences = [...differencesOf(table, found), ...(ours ? [] : columnDifferences(table, found))];
  if (differences.length > 0) {
    throw new TailraceError("target.table-differs", { what: `The target table does not match the plan: ${differences.join("; ")}`, where });
  }
  if (ours) return alterationOf(table, found);
  if (found.in_the_way.length > 0) {
    throw new TailraceError("target.constraints-in-the-way", {
      what: `The target table carries what would act on our writes: ${found.in_the_way.join(", ")}`,
      where,
    });
  }
  const [row] = await connection.rows<{ filled: boolean }>(`SELECT EXISTS (SELECT FROM ${qualified(table.target)}) AS filled`);
  if (row?.filled === true) throw new TailraceError("target.table-not-empty", { what: "The target table holds rows", where });
  return { statements: [], retyped: [], stale: false };
}

function differencesOf(table: TablePlan, found: FoundTable): readonly string[] {
  const kinds: Readonly<Record<string, string>> = { v: "a view", m: "a materialized view", f: "a foreign table", p: "partitioned" };
  if (found.kind !== "r") return [`it is ${kinds[found.kind] ?? "not a table"}`];
  return [
    // A crash of the server empties an unlogged table, and nobody would read those rows again.
    ...(found.persistence === "p" ? [] : ["it is unlogged or temporary"]),
    ...(found.is_partition || found.inherits ? ["it is part of an inheritance tree"] : []),
    ...(found.row_security ? ["row level security is on"] : []),
    ...table.columns.flatMap((column) => unalterable(table, column, found)),
    ...keyDifferences(table, found),
  ];
}

/** What no ALTER of ours takes away. */
function unalterable(table: TablePlan, { target: name, type }: ColumnPlan, found: FoundTable): readonly string[] {
  const there = found.columns.find((column) => column.name === name);
  if (there === undefined) return [];
  return [
    ...(there.type !== type && table.key.includes(name) ? [typeDifference(there, type)] : []),
    ...(there.generated ? [`column '${name}' is generated`] : []),
    ...(there.identity_always ? [`column '${name}' is an identity column that is ALWAYS generated`] : []),
  ];
}

const typeDifference = ({ name, type }: FoundColumn, planned: string): string => `column '${name}' is ${type}, the plan says ${planned}`;

function columnDifferences(table: TablePlan, found: FoundTable): readonly string[] {
  const planned = table.columns.flatMap((column) => {
    const name = column.target;
    const isKey = table.key.includes(name);
    const there = found.columns.find((candidate) => candidate.name === name);
    if (there === undefined) return [`column '${name}' is missing`];
    return [
      ...(there.type === column.type || isKey ? [] : [typeDifference(there, column.type)]),
      // Nullable where the plan says NOT NULL is harmless, and what the remedy of a NULL in a NOT NULL column asks for.
      ...(there.not_null && column.nullable && !isKey ? [`column '${name}' is NOT NULL`] : []),
    ];
  });
  return [...planned, ...found.columns.filter(({ name }) => !isPlanned(table, name)).map(({ name }) => `the plan has no column '${name}'`)];
}

function keyDifferences(table: TablePlan, found: FoundTable): readonly string[] {
  const planned = table.key.join(", ");
  if (found.key === null) return [`it has no primary key, the plan says (${planned})`];
  if (found.key.join(", ") !== planned) return [`its primary key is (${found.key.join(", ")}), the plan says (${planned})`];
  return found.key_deferrable ? ["its primary key is deferrable, which ON CONFLICT cannot use"] : [];
}

const inTheWay = `
  SELECT 'constraint ' || quote_ident(c.conname) AS what FROM pg_constraint AS c
    WHERE c.conrelid = t.oid AND c.contype IN ('u', 'f', 'c', 'x')
  UNION ALL SELECT 'foreign key ' || quote_ident(c.conname) || ' of ' || c.conrelid::regclass FROM pg_constraint AS c
    WHERE c.confrelid = t.oid AND c.conrelid <> t.oid AND c.contype = 'f'
  UNION ALL SELECT 'unique index ' || i.indexrelid::regclass FROM pg_index AS i
    WHERE i.indrelid = t.oid AND i.indisunique AND NOT i.indisprimary
      AND NOT EXISTS (SELECT FROM pg_constraint AS c WHERE c.conindid = i.indexrelid AND c.contype IN ('u', 'x'))
  UNION ALL SELECT 'trigger ' || quote_ident(g.tgname) FROM pg_trigger AS g
    WHERE g.tgrelid = t.oid AND NOT g.tgisinternal AND g.tgenabled <> 'D'
  UNION ALL SELECT 'rule ' || quote_ident(r.rulename) FROM pg_rewrite AS r WHERE r.ev_class = t.oid AND r.ev_enabled <> 'D'`;

async function findTable(connection: Connection, table: TablePlan): Promise<FoundTable | null> {
  const [found] = await connection.rows<FoundTable>(
    `SELECT t.oid::int8::text AS oid, t.relkind AS kind, t.relpersistence AS persistence, t.relispartition AS is_partition,
       EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhrelid = t.oid OR i.inhparent = t.oid) AS inherits, t.relrowsecurity AS row_security,
       coalesce((SELECT json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), 'not_null', a.attnotnull,
           'has_default', a.atthasdef OR a.attidentity <> '',
           'generated', a.attgenerated <> '', 'identity_always', a.attidentity = 'a') ORDER BY a.attnum)
         FROM pg_attribute AS a WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped), '[]') AS columns,
       (SELECT json_agg(a.attname ORDER BY k.place) FROM pg_constraint AS c, unnest(c.conkey) WITH ORDINALITY AS k (attnum, place), pg_attribute AS a
         WHERE c.conrelid = t.oid AND c.contype = 'p' AND a.attrelid = t.oid AND a.attnum = k.attnum) AS key,
       EXISTS (SELECT FROM pg_constraint AS c WHERE c.conrelid = t.oid AND c.contype = 'p' AND c.condeferrable) AS key_deferrable,
       coalesce((SELECT json_agg(w.what ORDER BY w.what) FROM (${inTheWay}) AS w), '[]') AS in_the_way
     FROM pg_class AS t JOIN pg_namespace AS n ON n.oid = t.relnamespace
     WHERE n.nspname = $1 AND t.relname = $2 AND t.relkind NOT IN ('i', 'I', 't')`,
    [table.target.schema, table.target.name],
  );
  return found ?? null;
}
