/**
 * What waits for the end of the snapshot: secondary indexes and UNIQUE constraints, then foreign keys, then statistics.
 *
 * Promises: each object is built in a transaction of its own that holds the fence, so a sink that was replaced builds nothing; what is there is left
 * alone, so it may be called again at any time. An object that the rows or the server refuse is given up and recorded with the reason; a foreign
 * key that is there but not validated (a crash in between) is validated.
 */
import type { ForeignKeyPlan, IndexPlan } from "../../core/contracts/plan.js";
import type { LeftOut } from "../../core/contracts/target.js";
import { passing } from "../../core/crash-points.js";
import { TailraceError } from "../../core/errors.js";
import type { OwnerEpoch } from "../../core/vocabulary/ids.js";
import { commit, rollback } from "./commit.js";
import type { Connection } from "./connection.js";
import type { TargetTables } from "./controls.js";
import { fenceError, isFenced } from "./fence.js";
import { asTargetError, sqlState } from "./pg-errors.js";
import { qualified, quoteName, quoteNames } from "./quote.js";
import { ownedQuery, type Place, placeValues } from "./state.js";
import type { TargetTable } from "./target-table.js";

export interface FinishContext {
  readonly place: Place;
  readonly epoch: OwnerEpoch;
  readonly plain: Connection;
  readonly tables: TargetTables;
  /** Neither built on nor referred to while they are repaired. */
  readonly underRepair: (table: TargetTable) => boolean;
  readonly isFinished: (table: TargetTable) => boolean;
}

const attempts = 5;

/** Answers what was given up now or earlier. */
export async function finishTables(context: FinishContext, signal: AbortSignal): Promise<readonly LeftOut[]> {
  const due = [...context.tables.values()].filter((table) => !context.isFinished(table) && !context.underRepair(table));
  const leftOut = new Map<TargetTable, LeftOut[]>(due.map((table) => [table, []]));
  const build = async (table: TargetTable, object: string, work: () => Promise<void>): Promise<void> => {
    signal.throwIfAborted();
    const why = await reasonAgainst(work);
    passing("sink.ddl-part");
    if (why !== null) leftOut.get(table)?.push({ object, why });
  };
  passing("sink.ddl-before");
  for (const table of due) {
    for (const index of table.plan.indexes) await build(table, objectName(table, index), () => buildIndex(context, table, index));
  }
  for (const table of due) {
    for (const key of table.plan.foreignKeys) {
      if (!parentIsUnderRepair(context, key)) await build(table, objectName(table, key), () => buildForeignKey(context, table, key));
    }
  }
  for (const table of due) {
    signal.throwIfAborted();
    await owned(context, [`ANALYZE ${qualified(table.plan.target)}`]);
    await record(context, table, leftOut.get(table) ?? []);
  }
  passing("sink.ddl-after");
  return readLeftOut(context);
}

const objectName = (table: TargetTable, { name }: { readonly name: string }): string =>
  `${quoteName(name)} on ${qualified(table.plan.target)}`;

const parentIsUnderRepair = ({ tables, underRepair }: FinishContext, key: ForeignKeyPlan): boolean =>
  [...tables.values()].some((table) => qualified(table.plan.target) === qualified(key.parent) && underRepair(table));

async function buildIndex(context: FinishContext, table: TargetTable, index: IndexPlan): Promise<void> {
  if (await exists(context, table, index.name)) return;
  const on = qualified(table.plan.target);
  const columns = quoteNames(index.columns);
  await owned(context, [
    index.unique
      ? `ALTER TABLE ${on} ADD CONSTRAINT ${quoteName(index.name)} UNIQUE (${columns}) DEFERRABLE INITIALLY DEFERRED`
      : `CREATE INDEX ${quoteName(index.name)} ON ${on} (${columns})`,
  ]);
}

/** Two steps: the first holds its heavy lock for an instant, the second reads the whole table under a light one. */
async function buildForeignKey(context: FinishContext, table: TargetTable, key: ForeignKeyPlan): Promise<void> {
  const on = qualified(table.plan.target);
  const name = quoteName(key.name);
  if (!(await exists(context, table, key.name))) {
    await owned(context, [
      `ALTER TABLE ${on} ADD CONSTRAINT ${name} FOREIGN KEY (${quoteNames(key.columns)}) REFERENCES ${qualified(key.parent)} (${quoteNames(key.parentColumns)}) DEFERRABLE INITIALLY DEFERRED NOT VALID`,
    ]);
  }
  try {
    await owned(context, [`ALTER TABLE ${on} VALIDATE CONSTRAINT ${name}`]);
  } catch (thrown) {
    if (sqlState(thrown).startsWith("23")) await owned(context, [`ALTER TABLE ${on} DROP CONSTRAINT ${name}`]);
    throw thrown;
  }
}

/** Null: done. A lock that is not to be had is tried again; what only a person or a new session can change is thrown. */
async function reasonAgainst(work: () => Promise<void>): Promise<string | null> {
  for (let attempt = 1; ; attempt++) {
    try {
      await work();
      return null;
    } catch (thrown) {
      const error = asTargetError(thrown);
      if (!(error instanceof TailraceError)) throw error;
      const busy = error.where["sqlstate"] === "55P03" || error.where["sqlstate"] === "40P01";
      if (busy && attempt < attempts) continue;
      if (sqlState(thrown) === "" || error.verdict !== "stop" || error.code === "target.privileges") throw error;
      return error.message;
    }
  }
}

async function owned(context: FinishContext, statements: readonly string[]): Promise<void> {
  const { plain, place, epoch } = context;
  await plain.query("BEGIN");
  try {
    await plain.query(ownedQuery(place, epoch));
    await plain.query("SET LOCAL lock_timeout = '5s'");
    for (const statement of statements) await plain.query(statement);
    await commit(plain);
  } catch (thrown) {
    await rollback(plain);
    throw isFenced(thrown) ? await fenceError(context, null) : thrown;
  }
}

async function exists({ plain }: FinishContext, { plan }: TargetTable, name: string): Promise<boolean> {
  const [row] = await plain.rows<{ found: boolean }>(
    `SELECT EXISTS (SELECT FROM pg_constraint AS c WHERE c.conrelid = t.oid AND c.conname = $3)
         OR EXISTS (SELECT FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid WHERE x.indrelid = t.oid AND i.relname = $3) AS found
     FROM pg_class AS t JOIN pg_namespace AS n ON n.oid = t.relnamespace WHERE n.nspname = $1 AND t.relname = $2`,
    [plan.target.schema, plan.target.name, name],
  );
  return row?.found === true;
}

async function record({ plain, place }: FinishContext, { plan }: TargetTable, leftOut: readonly LeftOut[]): Promise<void> {
  await plain.query({
    text: `UPDATE tailrace.pipeline_table SET finished = true, left_out = $5
           WHERE pipeline = $1 AND group_id = $2 AND direction = $3 AND source = $4`,
    values: [...placeValues(place), plan.source, JSON.stringify(leftOut)],
  });
}

async function readLeftOut({ plain, place }: FinishContext): Promise<readonly LeftOut[]> {
  const rows = await plain.rows<{ left_out: readonly LeftOut[] }>(
    `SELECT left_out FROM tailrace.pipeline_table
     WHERE pipeline = $1 AND group_id = $2 AND direction = $3 AND planned ORDER BY ordinal`,
    placeValues(place),
  );
  return rows.flatMap((row) => row.left_out);
}
