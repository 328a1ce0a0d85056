/**
 * Rows that are told again because somebody has asked: what a row is, or that it is not there, as one more change of the stream. The table itself is not
 * written to, so none of its triggers runs.
 *
 * Promises: what is told stands in the log where it is true. The table is locked against writers for the moment in which its rows are looked at and written
 * down, so whatever was committed to it before stands before that, and whatever comes later behind.
 */
import type { Change } from "../../../core/contracts/change.js";
import type { Clock } from "../../../core/clock.js";
import { TailraceError } from "../../../core/errors.js";
import { reverseTable } from "../../../core/mapping/reverse-table.js";
import type { TablePlan, TargetPlan } from "../../../core/contracts/plan.js";
import type { KeysOfTable } from "../../../core/contracts/row-reader.js";
import type { TableId } from "../../../core/vocabulary/ids.js";
import type { Position } from "../../../core/vocabulary/position.js";
import { keyOf, type TableDescription } from "../../../core/vocabulary/table.js";
import type { Connection } from "../connection.js";
import { sqlState } from "../pg-errors.js";
import type { ReadStatements } from "../read-statements.js";
import type { WayPlace } from "./marker.js";

interface Touching {
  readonly connection: Connection;
  readonly place: WayPlace;
  readonly plan: TargetPlan;
  readonly statementsOf: (table: TableId) => Promise<ReadStatements>;
  readonly clock: Clock;
}

/** Writers wait behind us for as long as we wait for those before us. */
const lockTimeout = "500ms";
const triesMost = 20;
const againMs = 250;

/** In one transaction: whatever order their constraints want, the other side takes them together. Durable on return. */
export async function touchRows(touching: Touching, rows: readonly KeysOfTable[], signal: AbortSignal): Promise<void> {
  for (let tries = 1; ; tries++) {
    const busy = await touchOnce(touching, rows);
    if (busy === null) return;
    if (tries === triesMost) {
      const what = "Transactions that write to the table do not end, so its rows cannot be told again";
      throw new TailraceError("verify.put-off", { what, where: { table: busy } });
    }
    await touching.clock.delay(againMs, signal);
  }
}

/** Answers a table that somebody is writing to; null: it is done. */
async function touchOnce({ connection, place, plan, statementsOf }: Touching, rows: readonly KeysOfTable[]): Promise<TableId | null> {
  let at: TableId | null = null;
  await connection.query("BEGIN");
  try {
    await connection.query(`SET LOCAL lock_timeout = '${lockTimeout}'`);
    for (const { table, keys } of rows) {
      at = table;
      const statements = await statementsOf(table);
      await connection.query(statements.lock());
      const columns = reverseTable(planOf(plan, table)).columns.map(({ name }) => name);
      await writeDown(connection, { place, table, printed: statements.printed(keys, columns) });
    }
    await connection.query("COMMIT");
    return null;
  } catch (thrown) {
    if (connection.lost() === null) await connection.query("ROLLBACK");
    // 55P03: the lock was not had in time; 40P01: two waited for each other.
    if (["55P03", "40P01"].includes(sqlState(thrown))) return at;
    throw thrown;
  }
}

async function writeDown(
  connection: Connection,
  row: {
    readonly place: WayPlace;
    readonly table: TableId;
    readonly printed: { readonly text: string; readonly values: readonly unknown[] };
  },
): Promise<void> {
  const { place, table, printed } = row;
  const next = printed.values.length + 1;
  const { rows } = await connection.query<{ number: string }>({
    text: `INSERT INTO tailrace.touch (pipeline, group_id, source, key, cells)
           SELECT $${next}, $${next + 1}::integer, $${next + 2}, q.key, q.cells FROM (${printed.text}) AS q RETURNING number`,
    values: [...printed.values, place.pipeline, place.group, table],
  });
  await connection.query({
    text: "DELETE FROM tailrace.touch WHERE number = ANY ($1::bigint[])",
    values: [rows.map(({ number }) => number)],
  });
}

function planOf({ tables }: TargetPlan, table: TableId): TablePlan {
  const plan = tables.find(({ source }) => source === table);
  if (plan === undefined)
    throw new TailraceError("internal", { what: "a row of a table that the plan lacks is to be told", where: { table } });
  return plan;
}

/** A row of tailrace.touch as a change. */
export function touched(table: TableDescription, at: Position, value: (column: string) => string | null): Change {
  const after = textsOf(value("cells"));
  if (after !== null) return { kind: "state", at, key: keyOf(table, after), after };
  const key = textsOf(value("key"));
  if (key === null) throw new TailraceError("internal", { what: "a touched row has no key", where: { table: table.table } });
  return { kind: "delete", at, key, before: null };
}

function textsOf(json: string | null): readonly (string | null)[] | null {
  const parsed: unknown = json === null ? null : JSON.parse(json);
  return parsed === null ? null : (parsed as readonly (string | null)[]);
}
