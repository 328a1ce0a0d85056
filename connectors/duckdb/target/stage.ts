/**
 * Statements of one table: what is looked at and staged lies in temporary tables, `b<n>` (the keys that are looked at) and `w<n>` (the last word on each
 * key of the window), and becomes at most three statements about the file: what goes, what changes, what is new. One UPDATE sets all that changes, so that
 * UNIQUE values may change places in it; columns that no row changes are not in it, since setting an indexed or a nested one is a delete and an insert
 * for DuckDB, which foreign keys refuse.
 *
 * Columns of ours: `k<i>` the key, `p<i>` the key under which a row stood before it was moved, `s<i>` is column i to be set, `v<i>` its value, `x<i>` its
 * text as it was told, `e<i>` what the plan leaves out and a row takes along when it is moved.
 */
import { columnType } from "../column-type.js";
import { quoteName, quoteText, tableSql } from "../duck-table.js";
import type { ApplyTable, Texts } from "./apply.js";
import { intoSql } from "./into.js";

interface KeyColumn {
  readonly declared: string;
  readonly column: string;
}

export class StageSql {
  readonly #n: number;
  readonly #stored: string;
  readonly #columns: readonly string[];
  readonly #keys: readonly KeyColumn[];

  constructor(
    private readonly table: ApplyTable,
    private readonly extra: readonly string[],
  ) {
    const { carried, keyPlaces } = table;
    this.#n = table.number;
    this.#stored = `src.${quoteName(table.schema)}.${quoteName(table.name)}`;
    this.#columns = carried.map(({ name }) => quoteName(name));
    this.#keys = keyPlaces.map((place) => ({ declared: carried[place]?.declared ?? "VARCHAR", column: this.#columns[place] ?? "" }));
  }

  get hasExtra(): boolean {
    return this.extra.length > 0;
  }

  get create(): string {
    const of = (prefix: string): string => this.#keys.map(({ column }, i) => `${column} AS ${prefix}${i}`).join(", ");
    const columns = this.#columns.map((column, i) => `false AS s${i}, ${column} AS v${i}`).join(", ");
    return `CREATE OR REPLACE TEMP TABLE w${this.#n} AS SELECT ${of("k")}, ${of("p")}, ''::VARCHAR AS op, false AS is_there, ${columns} FROM ${this.#stored} LIMIT 0`;
  }

  get drop(): string {
    return ["w", "b", "l", "m"].map((prefix) => `DROP TABLE IF EXISTS temp.${prefix}${this.#n}`).join("; ");
  }

  /** `$1`: JSON list of {n, key, base}. */
  get ask(): string {
    const typed = (from: string, prefix: string): string =>
      this.#keys.map(({ declared }, i) => `${intoSql(declared, `_tailrace_j.${from}[${i + 1}]`)} AS ${prefix}${i}`).join(", ");
    return `CREATE OR REPLACE TEMP TABLE b${this.#n} AS SELECT _tailrace_j.n, ${typed("key", "k")}, ${typed("base", "p")}
      FROM (SELECT unnest(json_transform($1, '[{"n":"INTEGER","key":["VARCHAR"],"base":["VARCHAR"]}]')) AS _tailrace_j)`;
  }

  /** A row that was moved already in this window stands where it was before that. */
  get trace(): string {
    return `UPDATE temp.b${this.#n} AS b SET ${this.#each((i) => `p${i} = w.p${i}`)} FROM temp.w${this.#n} AS w
      WHERE w.op = 'move' AND ${this.#each((i) => `w.k${i} = b.p${i}`, " AND ")}`;
  }

  get look(): string {
    const { row } = tableSql(this.table);
    const rowOf = (alias: string): string => `CASE WHEN ${alias}.rowid IS NULL THEN NULL ELSE ${row(alias)} END`;
    return `SELECT '[' || string_agg(json_array(b.n, ${rowOf("t")}, ${rowOf("u")})::VARCHAR, ',' ORDER BY b.n) || ']' AS text
      FROM temp.b${this.#n} AS b LEFT JOIN ${this.#stored} AS t ON ${this.#same("t", "b.k")} LEFT JOIN ${this.#stored} AS u ON ${this.#same("u", "b.p")}`;
  }

  /** `$1`: JSON list of {n, op, set, values}. */
  get load(): string {
    const columns = this.table.carried.map(({ declared }, i) => {
      const text = `_tailrace_j.values[${i + 1}]`;
      return `_tailrace_j.set[${i + 1}] AS s${i}, ${intoSql(declared, text)} AS v${i}, ${text} AS x${i}`;
    });
    return `CREATE OR REPLACE TEMP TABLE l${this.#n} AS SELECT _tailrace_j.n, _tailrace_j.op, b.* EXCLUDE (n), t.rowid IS NOT NULL AS is_there, ${columns.join(", ")}
      FROM (SELECT unnest(json_transform($1, '[{"n":"INTEGER","op":"VARCHAR","set":["BOOLEAN"],"values":["VARCHAR"]}]')) AS _tailrace_j)
      JOIN temp.b${this.#n} AS b ON b.n = _tailrace_j.n LEFT JOIN ${this.#stored} AS t ON ${this.#same("t", "b.k")}`;
  }

  /** Values that are printed otherwise than they were told: JSON list of [n, place, value]. */
  get differing(): string {
    const parts = this.table.carried.map(({ declared }, i) => {
      const printed = columnType(declared)?.json(`v${i}`) ?? `v${i}`;
      return `SELECT n, ${i} AS place, json_array(n, ${i}, CASE WHEN v${i} IS NULL THEN NULL ELSE ${printed} END) AS line
        FROM temp.l${this.#n} WHERE op <> 'delete' AND s${i} AND (${printed})::VARCHAR IS DISTINCT FROM x${i}`;
    });
    return `SELECT '[' || string_agg(line::VARCHAR, ',' ORDER BY n, place) || ']' AS text FROM (${parts.join(" UNION ALL ")})`;
  }

  /** What was staged last about a key is what holds. */
  get put(): string {
    const names = [...this.#names("k"), ...this.#names("p"), "op", "is_there", ...this.#values("s"), ...this.#values("v")].join(", ");
    return `DELETE FROM temp.w${this.#n} AS w USING temp.l${this.#n} AS l WHERE ${this.#each((i) => `w.k${i} = l.k${i}`, " AND ")};
      INSERT INTO temp.w${this.#n} (${names}) SELECT ${names} FROM temp.l${this.#n}`;
  }

  clear(after: Texts | null, upTo: Texts | null): readonly string[] {
    const columns = this.#keys.map(({ column }) => column);
    return [
      `DELETE FROM temp.w${this.#n} WHERE ${this.#within(this.#names("k"), after, upTo)}`,
      `INSERT INTO temp.w${this.#n} (${this.#names("k").join(", ")}, op, is_there)
       SELECT ${columns.join(", ")}, 'delete', true FROM ${this.#stored} WHERE ${this.#within(columns, after, upTo)}`,
    ];
  }

  get keepMoved(): string {
    const keys = [...this.#names("w.k"), ...this.extra.map((name, i) => `t.${quoteName(name)} AS e${i}`)].join(", ");
    return `CREATE OR REPLACE TEMP TABLE m${this.#n} AS SELECT ${keys} FROM temp.w${this.#n} AS w
      JOIN ${this.#stored} AS t ON ${this.#same("t", "w.p")} WHERE w.op = 'move'`;
  }

  get remove(): string {
    return `DELETE FROM ${this.#stored} AS t USING temp.w${this.#n} AS w WHERE w.op IN ('delete', 'move') AND ${this.#same("t", "w.k")}`;
  }

  change(places: readonly number[]): string {
    const set = places.map((i) => `${this.#columns[i] ?? ""} = CASE WHEN w.s${i} THEN w.v${i} ELSE t.${this.#columns[i] ?? ""} END`);
    return `UPDATE ${this.#stored} AS t SET ${set.join(", ")} FROM temp.w${this.#n} AS w
      WHERE w.op = 'put' AND w.is_there AND (${places.map((i) => `w.s${i}`).join(" OR ")}) AND ${this.#same("t", "w.k")}`;
  }

  get insert(): string {
    const alone = `NOT EXISTS (SELECT 1 FROM temp.m${this.#n} AS m WHERE ${this.#each((i) => `m.k${i} = w.k${i}`, " AND ")})`;
    return `INSERT INTO ${this.#stored} (${this.#columns.join(", ")}) SELECT ${this.#values("v").join(", ")} FROM temp.w${this.#n} AS w
      WHERE (w.op = 'put' AND NOT w.is_there) OR (w.op = 'move' ${this.hasExtra ? `AND ${alone}` : ""})`;
  }

  get insertMoved(): string {
    return `INSERT INTO ${this.#stored} (${[...this.#columns, ...this.extra.map(quoteName)].join(", ")})
      SELECT ${[...this.#values("v"), ...this.extra.map((_, i) => `m.e${i}`)].join(", ")} FROM temp.w${this.#n} AS w
      JOIN temp.m${this.#n} AS m ON ${this.#each((i) => `m.k${i} = w.k${i}`, " AND ")} WHERE w.op = 'move'`;
  }

  /** Rows of `alias` that the window speaks of; to stand behind JOIN. */
  staged(alias: string): string {
    return `temp.w${this.#n} AS w ON ${this.#same(alias, "w.k")}`;
  }

  /** By part of the key. */
  #each(item: (i: number) => string, between = ", "): string {
    return this.#keys.map((_, i) => item(i)).join(between);
  }

  #same(alias: string, prefix: string): string {
    return this.#keys.map(({ column }, i) => `${alias}.${column} = ${prefix}${i}`).join(" AND ");
  }

  #names(prefix: string): readonly string[] {
    return this.#keys.map((_, i) => `${prefix}${i}`);
  }

  #values(prefix: string): readonly string[] {
    return this.#columns.map((_, i) => `${prefix}${i}`);
  }

  #within(names: readonly string[], after: Texts | null, upTo: Texts | null): string {
    const literals = (texts: Texts): readonly string[] => this.#keys.map(({ declared }, i) => intoSql(declared, quoteText(texts[i] ?? "")));
    const parts = [
      ...(after === null ? [] : [beyond(names, literals(after), { than: ">", last: ">" })]),
      ...(upTo === null ? [] : [beyond(names, literals(upTo), { than: "<", last: "<=" })]),
    ];
    return parts.length === 0 ? "true" : parts.join(" AND ");
  }
}

/** Part by part: DuckDB compares no rows that it has made ranges of. */
function beyond(names: readonly string[], bound: readonly string[], how: { readonly than: "<" | ">"; readonly last: string }): string {
  const { than, last } = how;
  const tie = (i: number): string => {
    const [name = "", literal = "NULL"] = [names[i], bound[i]];
    return i === names.length - 1
      ? `${name} ${last} ${literal}`
      : `(${name} ${than} ${literal} OR (${name} = ${literal} AND ${tie(i + 1)}))`;
  };
  return tie(0);
}
