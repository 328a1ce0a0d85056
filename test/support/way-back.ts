/** A PostgreSQL database whose tables are carried back: prepared as a target, opened, and written to as an application does. */
import pg from "pg";
import { connectTarget } from "../../connectors/postgres/connect.js";
import { openWayBackDesk } from "../../connectors/postgres/source/desk.js";
import { openPostgresSource, type PostgresSource, type PostgresSourceOptions } from "../../connectors/postgres/source/postgres-source.js";
import type { TablePlan, TargetPlan } from "../../core/contracts/plan.js";
import { markerId, pipelineId, tableId, theGroup } from "../../core/vocabulary/ids.js";
import type { TableDescription } from "../../core/vocabulary/table.js";
import { keyText, type Row } from "../../core/vocabulary/value.js";
import { Follower } from "./follower.js";
import type { PostgresServer } from "./postgres-server.js";
import type { TestDatabase } from "./postgres.js";

export const backPipeline = pipelineId("back");
const never = new AbortController().signal;

/** `columns`: name to type; the first `keys` of them are the key. */
export function wayTable(name: string, columns: Readonly<Record<string, string>>, keys = 1): TablePlan {
  const names = Object.keys(columns);
  const [first = "", ...others] = names.slice(0, keys);
  return {
    source: tableId(name),
    group: theGroup,
    target: { schema: "public", name },
    columns: names.map((column, i) => ({
      source: column,
      target: column,
      type: columns[column] ?? "text",
      nullable: i >= keys,
      conversion: { kind: "as-is" },
      written: "always",
      constant: null,
    })),
    key: [first, ...others],
    indexes: [],
    foreignKeys: [],
    dropped: [],
  };
}

export class WayBackWorld implements AsyncDisposable {
  #markers = 0;
  #source: PostgresSource | null = null;

  private constructor(
    readonly database: TestDatabase,
    public application: pg.Client,
  ) {}

  static async of(server: PostgresServer, tables: readonly TablePlan[], options = { opened: true }): Promise<WayBackWorld> {
    const database = await server.database();
    const plan: TargetPlan = { version: 1, pipeline: backPipeline, prefix: "back", tables };
    await using target = await connectTarget({ url: database.url, pipeline: backPipeline }, never);
    await target.prepare(plan, () => Promise.resolve(), never);
    const world = new WayBackWorld(database, await connected(database.url));
    if (options.opened) await world.desk.open(theGroup, never);
    return world;
  }

  get desk(): ReturnType<typeof openWayBackDesk> {
    return openWayBackDesk({ url: this.database.url, pipeline: backPipeline });
  }

  async open(more: Partial<PostgresSourceOptions> = {}): Promise<PostgresSource> {
    this.#source = await openPostgresSource({ url: this.database.url, pipeline: backPipeline, group: theGroup, ...more }, never);
    return this.#source;
  }

  async follower(more: Partial<PostgresSourceOptions> = {}): Promise<Follower> {
    return new Follower(await this.open(more), true);
  }

  /** After the server was killed. */
  async reconnect(): Promise<void> {
    this.application.end().catch(() => {});
    this.application = await connected(this.database.url);
  }

  async run(...statements: readonly string[]): Promise<void> {
    for (const statement of statements) await this.application.query(statement);
  }

  /** Until everything that is committed now was told. */
  async catchUp(follower: Follower): Promise<void> {
    const marker = markerId(`marker ${++this.#markers}`);
    await this.desk.mark(theGroup, marker, never);
    while (!follower.replica.markers.includes(marker)) await follower.next();
  }

  async rows(table: TableDescription): Promise<ReadonlyMap<string, Row>> {
    const columns = table.columns.map(({ name }) => `"${name}"`).join(", ");
    const { rows } = await this.application.query<(string | null)[]>({
      text: `SELECT ${columns} FROM "${table.table}"`,
      rowMode: "array",
      // As the server writes them.
      types: { getTypeParser: () => String },
    });
    return new Map(rows.map((row) => [keyText(table.key.map((i) => row[i] ?? null)), row]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#source?.[Symbol.asyncDispose]();
    // A test may have removed everything.
    const [state] = await this.application
      .query<{ there: boolean }>("SELECT to_regclass('tailrace.way_back') IS NOT NULL AS there")
      .then(({ rows }) => rows);
    if (state?.there === true) await this.desk.close(theGroup, never);
    await this.application.end();
    await this.database[Symbol.asyncDispose]();
  }
}

async function connected(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => {});
  await client.connect();
  return client;
}
