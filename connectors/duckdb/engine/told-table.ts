/**
 * What was told of one table: keys and hashes with the row id that each row had (`s<n>`), the row groups that they came from (`g<n>`), and the keys of
 * every change by its order (`j<n>`). Made equal to a copy by `remember` or `establish`, within the engine's transaction; a crash before its commit
 * leaves all three as they were.
 *
 * A copy is compared by pieces of a row group or some: the rows of a piece are joined with what was told of the same row ids, so that memory is
 * bounded by the piece. Rows that moved from one piece to another are brought together at the end; when all did, that is a join of whole tables.
 */
import { type DuckTable, keyColumns, quoteText, sameKey, signatureOf, type TableSql, tableSql } from "../duck-table.js";
import type { Database } from "./database.js";
import { changedSpans, type RowGroup, type RowGroups, type Span } from "./row-groups.js";

/** Rows of what was told that were replaced where they stood, of so many. */
export interface Settled {
  readonly moved: number;
  readonly rows: number;
}
export interface Compared {
  /** That were read. */
  readonly rows: number;
  /** To be told. */
  readonly changes: number;
  /** No row had to be read for it. */
  readonly isAsTold: boolean;
  /** Of the copy; null: it does not say. */
  readonly groups: readonly RowGroup[] | null;
}

/** Rows that were put behind the others since their table was made: beyond this share it is made anew. */
const looseShare = 4;
const looseLeast = 100_000;

export class ToldTable {
  readonly #sql: TableSql;

  /** `pieceRows`: rows that are joined at one time, about. */
  constructor(
    private readonly database: Database,
    readonly table: DuckTable,
    private readonly pieceRows: number,
  ) {
    this.#sql = tableSql(table);
  }

  /**
   * Leaves what differs in `d<n>`: key, op, row id, hashes (of a row that is gone: those that it had). `m`: the same row elsewhere, which nobody is told.
   * Keys in doubt are among it, whether they differ or not.
   */
  async compare(rowGroups: RowGroups, doubtAbove: number | null): Promise<Compared> {
    const { number: n } = this.table;
    const groups = await rowGroups.of(this.table);
    const spans = groups === null ? [whole] : await this.#spans(groups);
    await this.database.run(
      `CREATE OR REPLACE TEMP TABLE d${n} AS SELECT ${keyColumns(this.table)}, '' AS op, pos, h, g FROM state.s${n} LIMIT 0`,
    );
    let rows = 0;
    for (const span of spans) rows += await this.#comparePiece(span);
    if (spans.length > 1) await this.#joinMoved();
    if (doubtAbove !== null) await this.#addDoubts(doubtAbove);
    const [counted] = await this.database.rows<{ n: bigint }>(`SELECT count(*) AS n FROM temp.d${n} WHERE op <> 'm'`);
    return { rows, changes: Number(counted?.n ?? 0), isAsTold: spans.length === 0 && doubtAbove === null, groups };
  }

  /** Before the transaction: gives each difference its order, and keeps it in `o<n>` until it has been sent. */
  async order(first: number): Promise<void> {
    const { number: n } = this.table;
    await this.database.run(
      `CREATE OR REPLACE TEMP TABLE o${n} AS SELECT ${first - 1} + row_number() OVER (ORDER BY ${keyColumns(this.table)}) AS ord, * FROM temp.d${n} WHERE op <> 'm'`,
    );
  }

  /** In the transaction: what was ordered becomes what was told. */
  async remember(): Promise<void> {
    const { number: n } = this.table;
    await this.database.run(`INSERT INTO state.j${n} SELECT ord, ${keyColumns(this.table)}, op FROM temp.o${n}`);
  }

  /** In the transaction: what was told is what the copy holds. */
  async settle({ isAsTold, groups }: Compared): Promise<Settled> {
    if (isAsTold) return { moved: 0, rows: 0 };
    const { number: n } = this.table;
    const [found] = await this.database.rows<{ moved: bigint; rows: bigint; loose: bigint | null }>(
      `SELECT (SELECT count(*) FROM temp.d${n}) AS moved, (SELECT count(*) FROM state.s${n}) AS rows, (SELECT rows FROM loose WHERE n = ${n}) AS loose`,
    );
    const moved = Number(found?.moved ?? 0);
    const rows = Number(found?.rows ?? 0);
    const loose = Number(found?.loose ?? 0) + moved;
    if (loose > Math.max(looseLeast, rows / looseShare)) {
      await this.#make(groups);
      return { moved: 0, rows };
    }
    if (moved > 0) {
      await this.database.run(
        `DELETE FROM state.s${n} AS s USING temp.d${n} AS d WHERE ${sameKey(this.table, "s", "d")};
         INSERT INTO state.s${n} SELECT ${keyColumns(this.table)}, pos, h, g FROM temp.d${n} WHERE op <> 'd' ORDER BY pos;
         INSERT OR REPLACE INTO loose VALUES (${n}, ${loose})`,
      );
    }
    await this.#keep(groups);
    return { moved, rows };
  }

  /** In the transaction: the copy's rows are what was told, without being told here. */
  async establish(rowGroups: RowGroups): Promise<void> {
    const { number: n } = this.table;
    await this.#make(await rowGroups.of(this.table));
    await this.database.run(
      `CREATE TABLE IF NOT EXISTS state.j${n} AS SELECT 0::BIGINT AS ord, ${keyColumns(this.table)}, '' AS op FROM state.s${n} LIMIT 0`,
    );
  }

  async forget(): Promise<void> {
    await this.database.run(`DROP TABLE IF EXISTS temp.d${this.table.number}`);
  }

  async #make(groups: readonly RowGroup[] | null): Promise<void> {
    const { number: n } = this.table;
    await this.database.run(
      `CREATE OR REPLACE TABLE state.s${n} AS ${this.#rowsOf(whole)};
       CREATE TABLE IF NOT EXISTS state.g${n} (first BIGINT, rows BIGINT, mark VARCHAR);
       DELETE FROM loose WHERE n = ${n};
       INSERT OR REPLACE INTO told VALUES (${n}, ${quoteText(signatureOf(this.table))})`,
    );
    await this.#keep(groups);
  }

  async #keep(groups: readonly RowGroup[] | null): Promise<void> {
    const { number: n } = this.table;
    const list = (groups ?? []).map(({ first, rows, mark }) => `(${first}, ${rows}, ${mark === null ? "NULL" : quoteText(mark)})`);
    await this.database.run(`DELETE FROM state.g${n}; ${list.length === 0 ? "" : `INSERT INTO state.g${n} VALUES ${list.join(", ")}`}`);
  }

  async #spans(groups: readonly RowGroup[]): Promise<readonly Span[]> {
    const { number: n } = this.table;
    const told = await this.database.rows<{ first: bigint; rows: bigint; mark: string | null }>(
      `SELECT first, rows, mark FROM state.g${n} ORDER BY first`,
    );
    const before = told.map(({ first, rows, mark }): RowGroup => ({ first: Number(first), rows: Number(rows), mark }));
    const spans = changedSpans(before.length === 0 ? null : before, groups, this.pieceRows);
    // Without row ids rows can be found by their keys alone.
    return this.#sql.place === null && spans.length > 0 ? [whole] : spans;
  }

  #rowsOf({ from, until }: Span): string {
    const { relation, keys, hashes, place } = this.#sql;
    const list = keys.map(({ expression }, i) => `${expression} AS k${i}`).join(", ");
    const within = place === null ? "true" : `${place} >= ${from} AND ${until === null ? "true" : `${place} < ${until}`}`;
    return `SELECT ${list}, ${place ?? "0::BIGINT"} AS pos, ${hashes} FROM ${relation} WHERE ${within}`;
  }

  async #comparePiece(span: Span): Promise<number> {
    const { number: n } = this.table;
    const { from, until } = span;
    const told = `SELECT * FROM state.s${n} WHERE pos >= ${from} AND ${until === null ? "true" : `pos < ${until}`}`;
    await this.database.run(
      `INSERT INTO temp.d${n} SELECT ${this.#eitherKey("n", "s")}, ${opOf("n", "s")}, n.pos, coalesce(n.h, s.h), coalesce(n.g, s.g)
       FROM (${this.#rowsOf(span)}) AS n FULL OUTER JOIN (${told}) AS s ON ${sameKey(this.table, "n", "s")}
       WHERE n.h IS NULL OR s.h IS NULL OR n.h <> s.h OR n.g <> s.g OR n.pos <> s.pos`,
    );
    const [counted] = await this.database.rows<{ n: bigint }>(`SELECT count(*) AS n FROM (${told})`);
    return Number(counted?.n ?? 0);
  }

  /** Gone from one piece and new in another: the same row, or a change of it. */
  async #joinMoved(): Promise<void> {
    const { number: n } = this.table;
    const [found] = await this.database.rows<{ any: boolean }>(
      `SELECT count(*) FILTER (WHERE op = 'c') > 0 AND count(*) FILTER (WHERE op = 'd') > 0 AS any FROM temp.d${n}`,
    );
    if (found?.any !== true) return;
    await this.database.run(
      `CREATE OR REPLACE TEMP TABLE moved AS SELECT * FROM temp.d${n} WHERE op NOT IN ('c', 'd')
       UNION ALL SELECT ${this.#eitherKey("n", "s")}, ${opOf("n", "s")}, n.pos, coalesce(n.h, s.h), coalesce(n.g, s.g)
       FROM (SELECT * FROM temp.d${n} WHERE op = 'c') AS n FULL OUTER JOIN (SELECT * FROM temp.d${n} WHERE op = 'd') AS s ON ${sameKey(this.table, "n", "s")};
       DROP TABLE temp.d${n}; ALTER TABLE temp.moved RENAME TO d${n}`,
    );
  }

  /** A reader may hold any of several rows under these keys, or none: they are told as they are, `s`, or as gone. */
  async #addDoubts(above: number): Promise<void> {
    const { table } = this;
    const { number: n } = table;
    const doubts = `SELECT DISTINCT ${keyColumns(table)} FROM state.j${n} WHERE ord > ${above}`;
    await this.database.run(
      `UPDATE temp.d${n} AS d SET op = 's' WHERE op <> 'd' AND EXISTS (SELECT 1 FROM (${doubts}) AS j WHERE ${sameKey(table, "j", "d")});
       INSERT INTO temp.d${n} SELECT ${keyColumns(table, "j.")}, CASE WHEN s.h IS NULL THEN 'd' ELSE 's' END, s.pos, s.h, s.g
       FROM (${doubts}) AS j LEFT JOIN state.s${n} AS s ON ${sameKey(table, "j", "s")}
       WHERE NOT EXISTS (SELECT 1 FROM temp.d${n} AS d WHERE ${sameKey(table, "j", "d")})`,
    );
  }

  #eitherKey(a: string, b: string): string {
    return this.table.description.key.map((_, i) => `coalesce(${a}.k${i}, ${b}.k${i}) AS k${i}`).join(", ");
  }
}

const whole: Span = { from: 0, until: null };

const opOf = (now: string, told: string): string =>
  `CASE WHEN ${told}.h IS NULL THEN 'c' WHEN ${now}.h IS NULL THEN 'd' WHEN ${now}.h = ${told}.h AND ${now}.g = ${told}.g THEN 'm' ELSE 'u' END AS op`;
