/** The file of the bench `large`: its rows, the application that keeps it open, and what both sides must say of it. */
import { type DuckDBConnection, DuckDBInstance } from "@duckdb/node-api";
import type pg from "pg";
import { rounded } from "./report.js";

/** Of a document: about. */
const documentBytes = 6_450;

/** Rows that DuckDB cannot make small and PostgreSQL can: the disk then holds the file, its copies and the target. */
export async function makeLargeFile(
  path: string,
  { rows, documents, say }: { readonly rows: number; readonly documents: number; readonly say: (text: string) => void },
): Promise<void> {
  await using application = await LiveApplication.open(path);
  const accounts = Math.max(100, Math.round(rows * 0.06));
  await application.commit([
    "CREATE TABLE account (id BIGINT PRIMARY KEY, name VARCHAR NOT NULL, email VARCHAR, balance DECIMAL(18,2), note VARCHAR)",
    `INSERT INTO account SELECT (range * 7919) % ${accounts}, 'account ' || range, md5(range::VARCHAR) || '@example.org', (hash(range) % 100000000) / 100, md5((range + 1)::VARCHAR) FROM range(${accounts})`,
  ]);
  await application.commit([
    `CREATE TABLE event AS SELECT (hash(range) % 1000000)::INTEGER AS who, md5((range // 3)::VARCHAR) AS what, TIMESTAMP '2025-01-01' + to_seconds((hash(range + 3) % 30000000)::BIGINT) AS at FROM range(${Math.round(rows * 0.03)})`,
    `CREATE TABLE reading AS SELECT range AS id, (hash(range) % 1000000)::INTEGER AS sensor, ((hash(range + 1) % 4000000000)::BIGINT - 2000000000)::INTEGER AS level, TIMESTAMP '2025-01-01' + to_seconds((hash(range + 3) % 30000000)::BIGINT) AS at FROM range(${rows})`,
    "CREATE TABLE document (id BIGINT PRIMARY KEY, title VARCHAR NOT NULL, body VARCHAR)",
  ]);
  say(`rows are made, ${rounded((documents * documentBytes) / 1e9, 1)} GB of documents follow`);
  for (let from = 0; from < documents; from += 100_000) {
    const until = Math.min(documents, from + 100_000);
    await application.commit([
      `INSERT INTO document SELECT range, 'document ' || range, repeat(md5(range::VARCHAR), 200) FROM range(${from}, ${until})`,
    ]);
  }
}

/** Keeps the file open for writing, as its owner does. */
export class LiveApplication implements AsyncDisposable {
  private constructor(
    private readonly instance: DuckDBInstance,
    private readonly connection: DuckDBConnection,
  ) {}

  static async open(path: string): Promise<LiveApplication> {
    const instance = await DuckDBInstance.create(path, { memory_limit: "3GB", threads: "2" });
    return new LiveApplication(instance, await instance.connect());
  }

  async commit(statements: readonly string[]): Promise<void> {
    await this.connection.run("BEGIN TRANSACTION");
    for (const sql of statements) await this.connection.run(sql);
    await this.connection.run("COMMIT");
  }

  async texts(sql: string): Promise<readonly string[]> {
    const reader = await this.connection.runAndReadAll(sql);
    return (reader.getRows()[0] ?? []).map(String);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.connection.closeSync();
    this.instance.closeSync();
    return Promise.resolve();
  }
}

/** In words of both databases, in whole numbers (a sum of doubles is not exact above 2^53), and read from the application's file itself. */
export async function compareSums(application: LiveApplication, client: pg.Client): Promise<string> {
  const sums: readonly (readonly [string, string, string])[] = [
    [
      "reading",
      'count(*), sum(id), sum(sensor), sum(level), sum(id % 1009 * level), sum(epoch_us("at"))',
      'count(*), sum(id), sum(sensor), sum(level), sum(id % 1009 * level), sum((extract(epoch FROM "at") * 1000000)::bigint)',
    ],
    [
      "document",
      "count(*), sum(id), sum(strlen(title)), sum(strlen(body)), sum(('0x' || substr(md5(body), 1, 8))::UBIGINT)",
      "count(*), sum(id), sum(octet_length(title)), sum(octet_length(body)), sum(('x' || substr(md5(body), 1, 8))::bit(32)::bigint)",
    ],
    ["account", "count(*), sum(id), sum(balance), sum(strlen(note))", "count(*), sum(id), sum(balance), sum(octet_length(note))"],
    [
      "event",
      "count(*), sum(who), sum(('0x' || substr(what, 1, 8))::UBIGINT), sum(epoch_us(\"at\"))",
      "count(*), sum(who), sum(('x' || substr(what, 1, 8))::bit(32)::bigint), sum((extract(epoch FROM \"at\") * 1000000)::bigint)",
    ],
  ];
  const said: string[] = [];
  for (const [table, ours, theirs] of sums) {
    const here = (await application.texts(`SELECT ${ours} FROM ${table}`)).join(" ");
    const { rows } = await client.query<string[]>({ text: `SELECT ${theirs} FROM public.${table}`, rowMode: "array" });
    const there = (rows[0] ?? []).join(" ");
    if (here !== there) throw new Error(`${table} differs: ${here} in DuckDB, ${there} in PostgreSQL`);
    said.push(`${table} ${here.split(" ", 1)[0] ?? ""}`);
  }
  return `equal sums (${said.join(", ")} rows)`;
}
