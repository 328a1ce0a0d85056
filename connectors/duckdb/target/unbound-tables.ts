/**
 * DuckDB asks foreign keys row by row and sees what its own transaction has not committed yet: a parent cannot go in the transaction in which its last
 * child goes, and a parent that has children cannot be changed in an indexed or nested column at all. Its constraints can neither be deferred nor dropped.
 *
 * So where it matters the tables that have such keys are made anew, without them, at the beginning of the transaction, and with everything that they had at
 * its end: it is then that the keys are asked, about what is left. All of it is one transaction; a crash leaves the tables as they were. It takes as long
 * as copying those tables twice.
 */
import { quoteName, quoteText } from "../duck-table.js";
import type { Database } from "../engine/database.js";
import { isGenerated } from "../generated-columns.js";
import { type ListedSchema, placeOf } from "../inspect/schema.js";

export interface Child {
  readonly schema: string;
  readonly name: string;
}
interface Made extends Child {
  readonly sql: string;
}

export class UnboundTables {
  private constructor(
    private readonly database: Database,
    /** Parents before children. */
    private readonly children: readonly Made[],
    private readonly indexes: readonly string[],
    private readonly comments: readonly string[],
    /** Says of which table an error speaks. */
    private readonly whenFilled: (child: Child, fill: () => Promise<void>) => Promise<void>,
  ) {}

  /** In a transaction, before anything else. Answers null when no table of the file has a foreign key. */
  static async unbind(
    database: Database,
    schema: ListedSchema,
    whenFilled: (child: Child, fill: () => Promise<void>) => Promise<void>,
  ): Promise<UnboundTables | null> {
    const children = parentsFirst(schema);
    if (children.length === 0) return null;
    const indexes = await database.rows<{ schema: string; table: string; sql: string | null }>(
      `SELECT schema_name AS schema, table_name AS "table", sql FROM duckdb_indexes() WHERE database_name = 'src' ORDER BY index_oid`,
    );
    const ours = indexes.filter(({ schema: place, table }) => children.some((child) => child.schema === place && child.name === table));
    const tables = new UnboundTables(
      database,
      children,
      ours.flatMap(({ sql }) => sql ?? []),
      children.flatMap((child) => commentsOn(child, schema)),
      whenFilled,
    );
    await tables.#unbind();
    return tables;
  }

  async bind(): Promise<void> {
    for (const [i] of this.children.entries()) await this.#keep(i);
    // In reverse: what has no keys any more may go in any order, but names are taken up again from the first on.
    for (const child of this.children.toReversed()) await this.database.run(`DROP TABLE ${full(child)}`);
    for (const [i, child] of this.children.entries()) {
      await this.database.run(`USE src.${quoteName(child.schema)}; ${child.sql}`);
      const columns = await this.#stored(child);
      await this.whenFilled(child, () =>
        this.database.run(`INSERT INTO ${full(child)} (${columns}) SELECT ${columns} FROM temp.unbound${i}`),
      );
    }
    for (const sql of this.indexes) await this.database.run(sql);
    for (const sql of this.comments) await this.database.run(sql);
    await this.database.run("USE memory.main");
  }

  async #unbind(): Promise<void> {
    for (const [i] of this.children.entries()) await this.#keep(i);
    for (const child of this.children.toReversed()) await this.database.run(`DROP TABLE ${full(child)}`);
    for (const [i, child] of this.children.entries()) await this.database.run(`CREATE TABLE ${full(child)} AS FROM temp.unbound${i}`);
  }

  async #keep(i: number): Promise<void> {
    const child = this.children[i];
    if (child !== undefined) await this.database.run(`CREATE OR REPLACE TEMP TABLE unbound${i} AS FROM ${full(child)}`);
  }

  /** Of the table as it was declared: what is generated cannot be inserted. */
  async #stored({ schema, name, sql }: Made): Promise<string> {
    const rows = await this.database.rows<{ name: string }>(
      `SELECT column_name AS name FROM duckdb_columns() WHERE database_name = 'src' AND schema_name = ${quoteText(schema)}
         AND table_name = ${quoteText(name)} ORDER BY column_index`,
    );
    return rows
      .filter((column) => !isGenerated(sql, column.name))
      .map((column) => quoteName(column.name))
      .join(", ");
  }
}

const full = ({ schema, name }: Child): string => `src.${quoteName(schema)}.${quoteName(name)}`;

function commentsOn(child: Child, { tables, columns }: ListedSchema): readonly string[] {
  const own = tables.find(({ schema, name }) => schema === child.schema && name === child.name)?.comment ?? null;
  const listed = columns.get(placeOf(child.schema, child.name)) ?? [];
  return [
    ...(own === null ? [] : [`COMMENT ON TABLE ${full(child)} IS ${quoteText(own)}`]),
    ...listed.flatMap(({ name, comment }) =>
      comment === null ? [] : [`COMMENT ON COLUMN ${full(child)}.${quoteName(name)} IS ${quoteText(comment)}`],
    ),
  ];
}

/** Every table that has a foreign key, behind those that it refers to. */
function parentsFirst({ tables, constraints }: ListedSchema): readonly Made[] {
  const referring = tables.flatMap((table) => {
    const keys = (constraints.get(placeOf(table.schema, table.name)) ?? []).filter(({ kind }) => kind === "FOREIGN KEY");
    return keys.length === 0 ? [] : [{ table, parents: new Set(keys.map(({ parent }) => parent)) }];
  });
  const sorted: Made[] = [];
  let left = referring;
  while (left.length > 0) {
    const ready = left.filter(({ table, parents }) => left.every((other) => other.table === table || !parents.has(other.table.name)));
    const next = ready.length > 0 ? ready : left;
    sorted.push(...next.map(({ table }) => table));
    left = left.filter((one) => !next.includes(one));
  }
  return sorted;
}
