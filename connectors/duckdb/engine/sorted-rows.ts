/**
 * A table's rows in key order on their way out of the engine, in slices that are bounded in rows and in bytes.
 *
 * DuckDB cannot sort more than its memory when rows have a kilobyte or more: it keeps their texts pinned. So what is sorted is where each row lies and
 * how large it is (`sorted`); of the rows themselves a stage is fetched at a time, no larger than what is sorted in memory, and put in order (`stage`).
 * Where keys follow the order of the rows a stage is read from one place; where they do not, each takes a look at the whole table.
 */
import { beyond, type DuckTable, tableSql, textLiterals } from "../duck-table.js";
import type { Database } from "./database.js";

export interface SlicesAsked {
  /** Number of the first row. */
  readonly from: number;
  /** Most in one text; a single row may have more than so many bytes. */
  readonly rows: number;
  readonly bytes: number;
  /** Most of them. */
  readonly chunks: number;
}
export interface Slices {
  /** Each a JSON list of rows. */
  readonly texts: readonly string[];
  /** In all of them. */
  readonly rows: number;
}

interface Stage {
  readonly from: number;
  readonly until: number;
}

/** Rows whose sizes are looked at for one stage. */
const stageRowsMost = 1_000_000;
/** What all texts of one answer may have together, in units of what each may have. */
const answerChunks = 8;

export class SortedRows {
  #table: DuckTable | null = null;
  #rows = 0;
  #stage: Stage = { from: 0, until: 0 };

  /** `stageBytes`: of the rows that are put in order at one time, about. */
  constructor(
    private readonly database: Database,
    private readonly stageBytes: number,
  ) {}

  async forget(): Promise<void> {
    await this.database.run("DROP TABLE IF EXISTS temp.sorted; DROP TABLE IF EXISTS temp.stage");
    this.#table = null;
    this.#stage = { from: 0, until: 0 };
  }

  /** Of the rows above a key; answers how many there are. */
  async sort(table: DuckTable, after: readonly string[] | null): Promise<number> {
    const { relation, keys, place, bytes } = tableSql(table);
    const columns = keys.map(({ expression }) => expression);
    const above = after === null ? "true" : beyond(columns, textLiterals(table, after), { than: ">", last: ">" });
    await this.forget();
    const size = `(${bytes})::BIGINT AS _tailrace_bytes`;
    if (place === null) {
      // Rows that cannot be found again are put in order themselves.
      await this.database.run(
        `CREATE TEMP TABLE stage AS SELECT *, row_number() OVER (ORDER BY ${columns.join(", ")}) - 1 AS _tailrace_at, ${size} FROM ${relation} WHERE ${above} ORDER BY _tailrace_at;
         CREATE TEMP TABLE sorted AS SELECT _tailrace_bytes FROM temp.stage ORDER BY _tailrace_at`,
      );
    } else {
      await this.database.run(
        `CREATE TEMP TABLE sorted AS SELECT ${place} AS _tailrace_place, ${size} FROM ${relation} WHERE ${above} ORDER BY ${columns.join(", ")}`,
      );
    }
    const [counted] = await this.database.rows<{ n: bigint }>("SELECT count(*) AS n FROM temp.sorted");
    this.#table = table;
    this.#rows = Number(counted?.n ?? 0);
    if (place === null) this.#stage = { from: 0, until: this.#rows };
    return this.#rows;
  }

  async chunks({ from, rows, bytes, chunks }: SlicesAsked): Promise<Slices> {
    const table = this.#table;
    if (table === null) throw new Error("nothing is sorted");
    if (from < this.#stage.from || from >= this.#stage.until) await this.#fetch(table, from);
    const until = Math.min(from + rows * chunks, this.#stage.until);
    const pieces = await this.database.rows<{ first: bigint; rows: bigint }>(
      `SELECT min(n) AS first, count(*) AS rows
       FROM (SELECT rowid AS n, (sum(_tailrace_bytes) OVER (ORDER BY rowid) - _tailrace_bytes)::BIGINT AS before
             FROM temp.sorted WHERE rowid >= ${from} AND rowid < ${until})
       WHERE before < ${bytes * answerChunks} GROUP BY before // ${bytes}, (n - ${from}) // ${rows} ORDER BY first LIMIT ${chunks}`,
    );
    const count = pieces.reduce((sum, piece) => sum + Number(piece.rows), 0);
    const { row } = tableSql(table);
    const piece = ["0::INTEGER", ...pieces.slice(1).map(({ first }) => `(s._tailrace_at >= ${first})::INTEGER`)].join(" + ");
    const found = await this.database.rows<{ rows: bigint; text: string }>(
      `SELECT count(*) AS rows, '[' || string_agg(${row("s")}::VARCHAR, ',' ORDER BY s._tailrace_at) || ']' AS text FROM temp.stage AS s
       WHERE s._tailrace_at >= ${from} AND s._tailrace_at < ${from + count} GROUP BY ${piece} ORDER BY ${piece}`,
    );
    if (found.reduce((sum, { rows: some }) => sum + Number(some), 0) !== count) throw new Error("a row that was sorted is gone");
    return { texts: found.map(({ text }) => text), rows: count };
  }

  /** The rows from this one on, as many as a stage holds, and one at least. */
  async #fetch(table: DuckTable, from: number): Promise<void> {
    const { relation, place } = tableSql(table);
    const [end] = await this.database.rows<{ until: bigint; low: bigint; high: bigint }>(
      `SELECT max(n) + 1 AS until, min(place) AS low, max(place) AS high
       FROM (SELECT rowid AS n, _tailrace_place AS place, sum(_tailrace_bytes) OVER (ORDER BY rowid) - _tailrace_bytes AS before
             FROM temp.sorted WHERE rowid >= ${from} AND rowid < ${from + stageRowsMost}) WHERE before < ${this.stageBytes}`,
    );
    if (end === undefined || place === null) throw new Error("a stage has no beginning");
    const { until, low, high } = end;
    await this.database.run(
      `DROP TABLE IF EXISTS temp.stage;
       CREATE TEMP TABLE stage AS SELECT r.*, w.n AS _tailrace_at FROM ${relation} AS r
       JOIN (SELECT rowid AS n, _tailrace_place AS place FROM temp.sorted WHERE rowid >= ${from} AND rowid < ${until}) AS w ON r.${place} = w.place
       WHERE r.${place} >= ${low} AND r.${place} <= ${high} ORDER BY w.n`,
    );
    this.#stage = { from, until: Number(until) };
  }
}

/** What DuckDB can sort in so much memory, whatever the rows are. */
export const sortableBytes = (memoryMb: number): number => Math.floor((memoryMb * 2 ** 20) / 6);
