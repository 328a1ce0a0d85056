/** What the file itself knows as a target: `_cdc_applied`, the applied cut and who may write the next one, and `_cdc_plan`, what became of each table's changes. */
import { quoteText } from "../duck-table.js";
import type { Database } from "../engine/database.js";
import type { Ending, FileState, Owning, TableCounts } from "./apply.js";

export const stateTables: Readonly<Record<string, string>> = {
  _cdc_applied:
    "CREATE TABLE _cdc_applied (grp INTEGER PRIMARY KEY, pipeline VARCHAR, direction VARCHAR, owner_epoch BIGINT, cut VARCHAR, marker VARCHAR)",
  _cdc_plan: `CREATE TABLE _cdc_plan (source VARCHAR PRIMARY KEY, grp INTEGER, repair BOOLEAN, taken BIGINT, folded BIGINT, applied BIGINT,
  filtered BIGINT, quarantined BIGINT, replayed BIGINT)`,
};
const kinds = ["taken", "folded", "applied", "filtered", "quarantined", "replayed"] as const;

export async function stateTablesOf(database: Database): Promise<readonly string[]> {
  const rows = await database.rows<{ name: string }>(
    `SELECT table_name AS name FROM duckdb_tables() WHERE database_name = 'src' AND schema_name = 'main' AND table_name IN (${Object.keys(
      stateTables,
    )
      .map(quoteText)
      .join(", ")})`,
  );
  return rows.map(({ name }) => name);
}

/** In a transaction. */
export async function takeState(database: Database, owning: Owning): Promise<void> {
  const there = await stateTablesOf(database);
  for (const [name, sql] of Object.entries(stateTables)) {
    if (!there.includes(name)) await database.run(sql.replace(`CREATE TABLE ${name}`, `CREATE TABLE src.main.${name}`));
  }
  const { group, pipeline, direction, epochAbove, tables } = owning;
  await database.run(
    `INSERT INTO src.main._cdc_applied (grp, pipeline, direction, owner_epoch) VALUES (${group}, $1, $2, ${epochAbove + 1})
     ON CONFLICT (grp) DO UPDATE SET direction = excluded.direction, owner_epoch = greatest(owner_epoch, ${epochAbove}) + 1`,
    [pipeline, direction],
  );
  for (const table of tables) {
    await database.run(
      `INSERT INTO src.main._cdc_plan VALUES ($1, ${group}, false, 0, 0, 0, 0, 0, 0) ON CONFLICT (source) DO UPDATE SET grp = excluded.grp`,
      [table],
    );
  }
}

/** null: it was never owned. */
export async function readFileState(database: Database, group: number): Promise<FileState | null> {
  if ((await stateTablesOf(database)).length < Object.keys(stateTables).length) return null;
  const [row] = await database.rows<{
    pipeline: string;
    direction: string;
    epoch: bigint;
    cut: string | null;
    marker: string | null;
  }>(`SELECT pipeline, direction, owner_epoch AS epoch, cut, marker FROM src.main._cdc_applied WHERE grp = ${group}`);
  if (row === undefined) return null;
  const tables = await database.rows<{ source: string; repair: boolean } & Readonly<Record<(typeof kinds)[number], bigint>>>(
    `SELECT source, repair, ${kinds.join(", ")} FROM src.main._cdc_plan WHERE grp = ${group} ORDER BY source`,
  );
  return {
    ...row,
    epoch: Number(row.epoch),
    counts: tables.map((table): TableCounts => ({ table: table.source, counts: kinds.map((kind) => Number(table[kind])) })),
    repairs: tables.filter(({ repair }) => repair).map(({ source }) => source),
  };
}

/** The last statements of a window. */
export async function storeState(database: Database, { group, cut, marker, counts, begun, ended }: Ending): Promise<void> {
  const set = marker === null ? "cut = $1" : "cut = $1, marker = $2";
  await database.run(`UPDATE src.main._cdc_applied SET ${set} WHERE grp = ${group}`, marker === null ? [cut] : [cut, marker]);
  for (const { table, counts: n } of counts) {
    const add = kinds.map((kind, i) => `${kind} = ${kind} + ${n[i] ?? 0}`).join(", ");
    await database.run(`UPDATE src.main._cdc_plan SET ${add} WHERE source = $1`, [table]);
  }
  for (const table of begun) await database.run("UPDATE src.main._cdc_plan SET repair = true WHERE source = $1", [table]);
  for (const table of ended) await database.run("UPDATE src.main._cdc_plan SET repair = false WHERE source = $1", [table]);
}
