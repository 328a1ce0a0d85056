/**
 * The statements that make a source capture exactly the tables wanted, given what is there. Executed in one transaction they leave either
 * the old capture or the new one. A table that was captured before and gets new triggers, and any table that joins later, also gets an `S`
 * row ('gap'): changes may have been missed, so it is read again.
 */
import { TailraceError } from "../../core/errors.js";
import type { SourceTable } from "../../core/contracts/source.js";
import { uniteColumns } from "../../core/capture/widening.js";
import type { GroupId, PipelineId } from "../../core/vocabulary/ids.js";
import type { ColumnDescription, TableDescription } from "../../core/vocabulary/table.js";
import type { Database } from "./database.js";
import {
  digest,
  hasInstallStamp,
  highestSchema,
  type InstalledTable,
  isInstalled,
  readInstalled,
  readState,
  refuseOtherPipeline,
} from "./installed.js";
import { loggedColumnsMax } from "./inspect/catalogue.js";
import { isOwnTable, isOwnTrigger } from "./own-names.js";
import { quoteName, quoteText } from "./quote.js";
import { ordinaryTables, whatChanged } from "./schema-check.js";
import { SchemaLook } from "./schema-look.js";
import { readTableFacts, type TableFacts } from "./table-facts.js";
import { captureTriggers, type Trigger } from "./triggers.js";

export interface Installing {
  readonly pipeline: PipelineId;
  readonly group: GroupId;
  readonly path: string;
}

export function installStatements(database: Database, wanted: readonly SourceTable[], who: Installing): readonly string[] {
  const installed = readPresent(database, who);
  const statements = [...schemaStatements(database, wanted, who)];
  const isFirst = installed.every((t) => t.state === "left-out");
  const schema = highestSchema(installed) + 1;
  const look = new SchemaLook(database);
  let next = installed.reduce((highest, t) => Math.max(highest, t.number), 0) + 1;
  for (const table of wanted) {
    const before = installed.find((t) => t.description.table === table.description.table);
    const number = before?.number ?? next++;
    statements.push(...tableStatements(database, look, { wanted: table, before: before ?? null, number, schema, isFirst }));
  }
  const names = new Set<string>(wanted.map((t) => t.description.table));
  for (const table of installed) {
    if (table.state === "captured" && !names.has(table.description.table)) statements.push(...retire(look, table, schema));
  }
  const known = new Set<string>([...names, ...installed.map((t) => t.description.table)]);
  for (const name of ordinaryTables(database)) {
    if (!known.has(name)) statements.push(leftOut(next++, name, who.group));
  }
  return statements;
}

/** Everything of ours, whatever state it is in. */
export function destroyStatements(database: Database): readonly string[] {
  const rows = database
    .prepare(
      "SELECT type, name FROM sqlite_master WHERE name LIKE '\\_cdc\\_%' ESCAPE '\\' AND type IN ('trigger', 'table') ORDER BY type DESC, name",
    )
    .raw()
    .all() as [string, string][];
  const ours = rows.filter(([type, name]) => (type === "table" ? isOwnTable(name) : isOwnTrigger(name)));
  return ours.map(([type, name]) => `DROP ${type.toUpperCase()} ${quoteName(name)}`);
}

function readPresent(database: Database, who: Installing): readonly InstalledTable[] {
  if (!isInstalled(database)) return [];
  const state = readState(database, who.group);
  if (state !== null) refuseOtherPipeline(state, who.pipeline, who.path);
  return readInstalled(database);
}

function* schemaStatements(database: Database, wanted: readonly SourceTable[], who: Installing): Generator<string> {
  const values = Math.max(1, ...wanted.map((t) => t.description.columns.length));
  const keys = Math.max(1, ...wanted.map((t) => t.description.key.length));
  const widest = wanted.find((t) => t.description.columns.length + keys > loggedColumnsMax);
  if (widest !== undefined) {
    throw new TailraceError("table.too-wide", {
      what: "The table has too many columns to be captured",
      where: { table: widest.description.table },
    });
  }
  const present = new Set((database.pragma("table_info(_cdc_log)") as { name: string }[]).map((c) => c.name));
  const columns = [...numbered("k", keys), ...numbered("v", values)];
  if (present.size === 0) {
    yield `CREATE TABLE _cdc_log (seq INTEGER PRIMARY KEY, t, op, ts, ${columns.join(", ")})`;
  } else {
    for (const column of columns) if (!present.has(column)) yield `ALTER TABLE _cdc_log ADD COLUMN ${column}`;
  }
  if (!has(database, "_cdc_tables")) {
    yield "CREATE TABLE _cdc_tables (t INTEGER PRIMARY KEY, name, state, grp, schema, columns, key, facts, triggers)";
  }
  const hasState = has(database, "_cdc_state");
  if (!hasState) {
    yield "CREATE TABLE _cdc_state (id INTEGER PRIMARY KEY, pipeline, history, applying, fence_until, fence_kept, fence_marker, fence_seq, acknowledged, holds, installed)";
  } else if (!hasInstallStamp(database)) {
    yield "ALTER TABLE _cdc_state ADD COLUMN installed";
  }
  if (!hasState || readState(database, who.group) === null) {
    yield `INSERT INTO _cdc_state (id, pipeline, history, applying, fence_until, fence_kept, acknowledged, installed) VALUES (${who.group}, ${quoteText(who.pipeline)}, 0, 0, NULL, 0, NULL, lower(hex(randomblob(8))))`;
  }
  // Of the other groups it holds what their triggers look at; all else is in the row above.
  const others = new Set(wanted.map(({ description }) => description.group).filter((group) => group !== who.group));
  for (const group of [...others].toSorted((a, b) => a - b)) {
    if (hasState && readState(database, group) !== null) continue;
    yield `INSERT INTO _cdc_state (id, pipeline, applying, fence_kept) VALUES (${group}, ${quoteText(who.pipeline)}, 0, 0)`;
  }
}

interface TableWork {
  readonly wanted: SourceTable;
  readonly before: InstalledTable | null;
  readonly number: number;
  /** For a table whose description is new. */
  readonly schema: number;
  readonly isFirst: boolean;
}

function tableStatements(database: Database, look: SchemaLook, work: TableWork): readonly string[] {
  const { wanted, before, number, schema, isFirst } = work;
  const name = wanted.description.table;
  const facts = readTableFacts(database, look, name);
  if (facts === null) throw new TailraceError("plan.changed", { what: "A planned table is not in the source", where: { table: name } });
  const columns = describeColumns(wanted.description, facts, before);
  const description: TableDescription = { ...wanted.description, columns };
  const { group } = description;
  const isCaptured = before !== null && before.state === "captured";
  const whole = isCaptured && whatChanged(database, look, before) === null && isAsBefore(before, description, facts);
  if (whole && before.description.group === group) {
    if (JSON.stringify(columns) === JSON.stringify(before.description.columns)) return [];
    return [`UPDATE _cdc_tables SET columns = ${json(columns)}, schema = ${schema} WHERE t = ${number}`];
  }
  const triggers = captureTriggers(number, facts, description);
  const digests = digestsOf(triggers);
  const row = [
    number,
    quoteText(name),
    "'captured'",
    group,
    before === null && isFirst ? 1 : schema,
    json(columns),
    json(description.key),
    quoteText(digest(JSON.stringify(facts))),
    json(digests),
  ];
  return [
    ...[...look.ownTriggers(number).keys()].map((trigger) => `DROP TRIGGER ${quoteName(trigger)}`),
    ...triggers.map((t) => t.sql),
    `INSERT OR REPLACE INTO _cdc_tables (t, name, state, grp, schema, columns, key, facts, triggers) VALUES (${row.join(", ")})`,
    // Triggers that were whole until this transaction have missed nothing: the table only changes its group.
    ...(isFirst || whole ? [] : [gapRow(number)]),
  ];
}

/** The same is wanted, and the triggers are those that this version makes: an older one's may miss what this one knows of. */
function isAsBefore(before: InstalledTable, description: TableDescription, facts: TableFacts): boolean {
  if (!sameShape(before.description, description)) return false;
  const made = digestsOf(captureTriggers(before.number, facts, { ...description, group: before.description.group }));
  const there = Object.keys(before.triggers);
  return there.length === Object.keys(made).length && there.every((name) => before.triggers[name] === made[name]);
}

const digestsOf = (triggers: readonly Trigger[]): Readonly<Record<string, string>> =>
  Object.fromEntries(triggers.map((trigger) => [trigger.name, digest(trigger.sql)]));

function sameShape(a: TableDescription, b: TableDescription): boolean {
  const shape = (d: TableDescription): string => JSON.stringify([d.key, d.columns.map((c) => [c.name, c.declaredType, c.generated])]);
  return shape(a) === shape(b);
}

function describeColumns(wanted: TableDescription, facts: TableFacts, before: InstalledTable | null): readonly ColumnDescription[] {
  const there = new Set(facts.columns.map((c) => c.name));
  const missing = wanted.columns.find((c) => !there.has(c.name));
  if (missing !== undefined) {
    throw new TailraceError("plan.changed", {
      what: "A planned column is not in the source",
      where: { table: wanted.table, column: missing.name },
    });
  }
  return wanted.columns.map((column) => {
    const stored = before?.description.columns.find((c) => c.name === column.name);
    return stored === undefined ? column : uniteColumns(column, stored);
  });
}

function retire(look: SchemaLook, table: InstalledTable, schema: number): readonly string[] {
  return [
    ...[...look.ownTriggers(table.number).keys()].map((trigger) => `DROP TRIGGER ${quoteName(trigger)}`),
    `UPDATE _cdc_tables SET state = 'retired', schema = ${schema} WHERE t = ${table.number}`,
    "INSERT INTO _cdc_log (op, ts) VALUES ('M', julianday('now'))",
  ];
}

function leftOut(number: number, name: string, group: GroupId): string {
  return `INSERT INTO _cdc_tables (t, name, state, grp, schema, columns, key, facts, triggers) VALUES (${number}, ${quoteText(name)}, 'left-out', ${group}, 0, '[]', '[0]', '', '{}')`;
}

/** The run is named after its own number in the log, so that the statement says the same whenever it is printed. */
const gapRow = (number: number): string =>
  `INSERT INTO _cdc_log (t, op, ts, v0, k0) SELECT ${number}, 'S', julianday('now'), 'gap', 'gap-' || (coalesce(max(seq), 0) + 1) FROM _cdc_log`;

const numbered = (letter: string, count: number): readonly string[] => Array.from({ length: count }, (_, i) => `${letter}${i}`);
const json = (value: unknown): string => quoteText(JSON.stringify(value));
const has = (database: Database, table: string): boolean =>
  database.prepare("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?").pluck().get(table) === 1;
