/**
 * What makes the target's tables fit for the application's own writes, read off the catalogue: plain SQL that a person may read and run.
 *
 * before   unique indexes that are checked at once, built beside the deferred constraints without stopping anybody; numbers for new rows
 * behind   in the switch's transaction, all of it instant: the index takes the constraint's name and place, since ON CONFLICT cannot use one that is
 *          deferred; foreign keys get the actions that the source has; numbers are set past the highest that the source gave
 * after    foreign keys that were put on anew are validated
 *
 * Relies on the sink writing every row with its number, so that what gives numbers may be there while it streams.
 */
import { createHash } from "node:crypto";
import type { GivenNumber, ReadyPlan } from "../../../core/contracts/cutover.js";
import type { ForeignKeyPlan, ReferentialAction, TablePlan } from "../../../core/contracts/plan.js";
import type { Connection } from "../connection.js";
import { qualified, quoteName, quoteNames, quoteText } from "../quote.js";

interface FoundConstraint {
  readonly name: string;
  readonly kind: "u" | "f";
  readonly deferrable: boolean;
  readonly deferred: boolean;
  readonly on_delete: string;
  readonly on_update: string;
  readonly validated: boolean;
  /** Foreign keys rest on it: then it must be checked at once. */
  readonly referenced: boolean;
}
interface FoundNumber {
  readonly column: string;
  readonly type: string;
  readonly sequence: string | null;
  readonly has_default: boolean;
}
interface FoundTable {
  readonly constraints: readonly FoundConstraint[];
  readonly numbers: readonly FoundNumber[];
  /** Our indexes that wait for the switch: name and whether it can be used. */
  readonly waiting: readonly { readonly name: string; readonly valid: boolean }[];
}

export const waitingPrefix = "tailrace_waits_";

export async function readReadyPlan(
  connection: Connection,
  tables: readonly TablePlan[],
  numbers: readonly GivenNumber[],
): Promise<ReadyPlan> {
  const before: string[] = [];
  const behind: string[] = [];
  const after: string[] = [];
  const there = await findTables(connection, tables);
  for (const table of tables) {
    const found = there.get(qualified(table.target));
    if (found === undefined) continue;
    const given = numbers.filter((number) => number.table === table.source);
    for (const part of [uniques(table, found, "immediate"), foreignKeys(table, found), sequences(table, found, given)]) {
      before.push(...part.before);
      behind.push(...part.behind);
      after.push(...part.after);
    }
  }
  return { before, behind, after };
}

/**
 * The other way round: what a sink that writes sets needs again. Foreign keys have no actions, or a cascade would run in another order than at the source,
 * and are deferred; unique constraints are deferred again, or each set that hands a value from one row to another would be done change by change. Their
 * indexes are built beside them, as for the way forth.
 */
export async function readReturnPlan(connection: Connection, tables: readonly TablePlan[]): Promise<ReadyPlan> {
  const there = await findTables(connection, tables);
  const before: string[] = [];
  const behind: string[] = [];
  const after: string[] = [];
  for (const table of tables) {
    const on = qualified(table.target);
    const found = there.get(on);
    if (found === undefined) continue;
    const unique = uniques(table, found, "deferred");
    before.push(...unique.before);
    behind.push(...unique.behind);
    for (const key of table.foreignKeys) {
      const now = found.constraints.find((c) => c.kind === "f" && c.name === key.name);
      if (now === undefined) continue;
      const name = quoteName(key.name);
      if (now.on_delete !== letters["NO ACTION"] || now.on_update !== letters["NO ACTION"]) {
        behind.push(`ALTER TABLE ${on} DROP CONSTRAINT ${name}`, `ALTER TABLE ${on} ADD CONSTRAINT ${name} ${plainKey(key)} NOT VALID`);
        after.push(`ALTER TABLE ${on} VALIDATE CONSTRAINT ${name}`);
        continue;
      }
      if (!now.deferred) behind.push(`ALTER TABLE ${on} ALTER CONSTRAINT ${name} DEFERRABLE INITIALLY DEFERRED`);
      if (!now.validated) after.push(`ALTER TABLE ${on} VALIDATE CONSTRAINT ${name}`);
    }
  }
  return { before, behind, after };
}

const plainKey = ({ columns, parent, parentColumns }: ForeignKeyPlan): string =>
  `FOREIGN KEY (${quoteNames(columns)}) REFERENCES ${qualified(parent)} (${quoteNames(parentColumns)}) DEFERRABLE INITIALLY DEFERRED`;

/** Indexes that wait for a switch which was not made. */
export async function readWaitingIndexes(connection: Connection, tables: readonly TablePlan[]): Promise<readonly string[]> {
  const there = await findTables(connection, tables);
  return tables.flatMap((table) => {
    const ours = new Set(table.indexes.map((index) => waitingName(table, index.name)));
    const waiting = there.get(qualified(table.target))?.waiting ?? [];
    return waiting.filter(({ name }) => ours.has(name)).map(({ name }) => qualified({ schema: table.target.schema, name }));
  });
}

function uniques(table: TablePlan, found: FoundTable, wanted: "immediate" | "deferred"): ReadyPlan {
  const on = qualified(table.target);
  const isDue = ({ deferrable, referenced }: FoundConstraint): boolean =>
    wanted === "immediate" ? deferrable : !deferrable && !referenced;
  const due = table.indexes.filter(
    ({ name, unique }) => unique && found.constraints.some((c) => c.kind === "u" && c.name === name && isDue(c)),
  );
  const how = wanted === "immediate" ? "" : " DEFERRABLE INITIALLY DEFERRED";
  const before = due.flatMap(({ name, columns }) => {
    const waits = waitingName(table, name);
    const there = found.waiting.find((index) => index.name === waits);
    if (there?.valid === true) return [];
    const again = there === undefined ? [] : [`DROP INDEX CONCURRENTLY ${qualified({ schema: table.target.schema, name: waits })}`];
    return [...again, `CREATE UNIQUE INDEX CONCURRENTLY ${quoteName(waits)} ON ${on} (${quoteNames(columns)})`];
  });
  const behind = due.flatMap(({ name }) => [
    `ALTER TABLE ${on} DROP CONSTRAINT ${quoteName(name)}`,
    `ALTER TABLE ${on} ADD CONSTRAINT ${quoteName(name)} UNIQUE USING INDEX ${quoteName(waitingName(table, name))}${how}`,
  ]);
  return { before, behind, after: [] };
}

function foreignKeys(table: TablePlan, found: FoundTable): ReadyPlan {
  const on = qualified(table.target);
  const behind: string[] = [];
  const after: string[] = [];
  for (const key of table.foreignKeys) {
    const there = found.constraints.find((c) => c.kind === "f" && c.name === key.name);
    if (there === undefined) continue;
    const name = quoteName(key.name);
    if (hasActions(there, key)) {
      if (there.deferred) behind.push(`ALTER TABLE ${on} ALTER CONSTRAINT ${name} DEFERRABLE INITIALLY IMMEDIATE`);
      if (!there.validated) after.push(`ALTER TABLE ${on} VALIDATE CONSTRAINT ${name}`);
      continue;
    }
    const { onDelete, onUpdate } = wantedOf(key);
    behind.push(
      `ALTER TABLE ${on} DROP CONSTRAINT ${name}`,
      `ALTER TABLE ${on} ADD CONSTRAINT ${name} FOREIGN KEY (${quoteNames(key.columns)}) REFERENCES ${qualified(key.parent)} (${quoteNames(key.parentColumns)}) ON DELETE ${onDelete} ON UPDATE ${onUpdate} DEFERRABLE INITIALLY IMMEDIATE NOT VALID`,
    );
    after.push(`ALTER TABLE ${on} VALIDATE CONSTRAINT ${name}`);
  }
  return { before: [], behind, after };
}

const wantedOf = ({ wanted }: ForeignKeyPlan): { readonly onDelete: ReferentialAction; readonly onUpdate: ReferentialAction } =>
  wanted ?? { onDelete: "NO ACTION", onUpdate: "NO ACTION" };

const letters: Readonly<Record<ReferentialAction, string>> = {
  "NO ACTION": "a",
  RESTRICT: "r",
  CASCADE: "c",
  "SET NULL": "n",
  "SET DEFAULT": "d",
};

function hasActions(there: FoundConstraint, key: ForeignKeyPlan): boolean {
  const { onDelete, onUpdate } = wantedOf(key);
  return there.on_delete === letters[onDelete] && there.on_update === letters[onUpdate];
}

/**
 * Columns that already have a sequence (the table was there before us) and columns whose numbers the source gives. An identity that is given by default
 * takes whatever number a row comes with, so it does no harm while the sink writes.
 */
function sequences(table: TablePlan, found: FoundTable, given: readonly GivenNumber[]): ReadyPlan {
  const on = qualified(table.target);
  const before: string[] = [];
  const behind: string[] = [];
  for (const number of found.numbers) {
    const source = table.columns.find((column) => column.target === number.column)?.source ?? null;
    const highest = given.find((one) => one.column === source)?.highest ?? null;
    const isWhole = ["smallint", "integer", "bigint"].includes(number.type);
    if (!isWhole || (number.sequence === null && (highest === null || number.has_default))) continue;
    const column = quoteName(number.column);
    if (number.sequence === null) before.push(`ALTER TABLE ${on} ALTER COLUMN ${column} ADD GENERATED BY DEFAULT AS IDENTITY`);
    behind.push(setSequence(on, number.column, highest ?? 0n));
  }
  return { before, behind, after: [] };
}

/** The next number is one above all that were ever given, and 1 when none was. */
const setSequence = (on: string, column: string, highest: bigint): string =>
  `SELECT setval(s.name, greatest(s.top, 1), s.top >= 1) FROM (
  SELECT pg_get_serial_sequence(${quoteText(on)}, ${quoteText(column)})::regclass AS name,
    greatest((SELECT max(${quoteName(column)}) FROM ${on})::bigint, ${highest},
      pg_sequence_last_value(pg_get_serial_sequence(${quoteText(on)}, ${quoteText(column)})::regclass)) AS top) AS s`;

/** Longer than PostgreSQL's names may be, table and index together would be cut. */
const waitingName = (table: TablePlan, index: string): string =>
  waitingPrefix +
  createHash("sha256")
    .update(JSON.stringify([table.target, index]))
    .digest("hex")
    .slice(0, 20);

/** One question for all tables: it is asked while writes wait. */
async function findTables(connection: Connection, tables: readonly TablePlan[]): Promise<ReadonlyMap<string, FoundTable>> {
  const rows = await connection.rows<FoundTable & { readonly schema: string; readonly name: string }>(
    `SELECT n.nspname AS schema, t.relname AS name,
       coalesce((SELECT json_agg(json_build_object('name', c.conname, 'kind', c.contype, 'deferrable', c.condeferrable, 'deferred', c.condeferred,
           'on_delete', c.confdeltype, 'on_update', c.confupdtype, 'validated', c.convalidated, 'referenced', EXISTS (SELECT FROM pg_constraint AS r WHERE r.contype = 'f' AND r.conindid = c.conindid AND c.contype = 'u')) ORDER BY c.conname)
         FROM pg_constraint AS c WHERE c.conrelid = t.oid AND c.contype IN ('u', 'f')), '[]') AS constraints,
       coalesce((SELECT json_agg(json_build_object('column', a.attname, 'type', format_type(a.atttypid, NULL),
           'sequence', pg_get_serial_sequence(format('%I.%I', n.nspname, t.relname), a.attname), 'has_default', a.atthasdef) ORDER BY a.attnum)
         FROM pg_attribute AS a WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped), '[]') AS numbers,
       coalesce((SELECT json_agg(json_build_object('name', i.relname, 'valid', x.indisvalid) ORDER BY i.relname)
         FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid
         WHERE x.indrelid = t.oid AND starts_with(i.relname, $3)), '[]') AS waiting
     FROM unnest($1::text[], $2::text[]) AS w (schema, name)
     JOIN pg_namespace AS n ON n.nspname = w.schema
     JOIN pg_class AS t ON t.relnamespace = n.oid AND t.relname = w.name AND t.relkind = 'r'`,
    [tables.map(({ target }) => target.schema), tables.map(({ target }) => target.name), waitingPrefix],
  );
  return new Map(rows.map((row) => [qualified(row), row]));
}
