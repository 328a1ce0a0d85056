/** Two table groups by the command alone: one goes to PostgreSQL and home again while the application goes on writing to both. */
import { setTimeout } from "node:timers/promises";
import Database from "better-sqlite3";
import { Client } from "pg";
import { expect, it } from "vitest";
import { openRoute } from "../../connectors/postgres/routing/route-client.js";
import { until } from "../support/oracles/until.js";
import { Operator } from "./operator.js";

const ddl = `
  PRAGMA journal_mode = WAL;
  CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
  CREATE TABLE visits (id INTEGER PRIMARY KEY, customer INTEGER NOT NULL REFERENCES customers (id), at REAL);
  CREATE TABLE invoices (id INTEGER PRIMARY KEY AUTOINCREMENT, total REAL);
  CREATE TABLE lines (id INTEGER PRIMARY KEY AUTOINCREMENT, invoice INTEGER NOT NULL REFERENCES invoices (id) ON DELETE CASCADE, what TEXT);
  INSERT INTO customers VALUES (1, 'Ada'), (2, 'Bo');
  INSERT INTO invoices (total) VALUES (1.5), (2.5);
  INSERT INTO lines (invoice, what) VALUES (1, 'first'), (2, 'second');
`;
const groups = { billing: ["invoices", "lines"] };

/** Writes to `billing` where its route says, and to `main` in the file, all the time; neither may fail. */
class Application implements AsyncDisposable {
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>[];
  readonly written = { source: 0, target: 0, main: 0 };
  /** The longest time between two writes to `main`. */
  longestMs = 0;

  private constructor(
    private readonly file: Database.Database,
    private readonly client: Client,
    private readonly route: Awaited<ReturnType<typeof openRoute>>,
  ) {
    this.#ended = [this.#billing(), this.#main()];
  }

  static async start(operator: Operator): Promise<Application> {
    const client = new Client({ connectionString: operator.database.url });
    await client.connect();
    const route = await openRoute({ url: operator.database.url, pipeline: operator.pipeline, group: "billing", sourceIsFenced: true });
    return new Application(new Database(operator.file, { timeout: 10_000 }), client, route);
  }

  async #billing(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await this.route.write((side) => (side === "source" ? this.#bill() : this.#billAtTarget()));
      await setTimeout(5);
    }
  }

  async #main(): Promise<void> {
    const insert = this.file.prepare("INSERT INTO visits (customer, at) VALUES (1 + abs(random()) % 2, julianday('now'))");
    for (let last = performance.now(); !this.#stop.signal.aborted; ) {
      insert.run();
      this.written.main += 1;
      this.longestMs = Math.max(this.longestMs, performance.now() - last);
      last = performance.now();
      await setTimeout(5);
    }
  }

  async #bill(): Promise<void> {
    this.file.transaction(() => {
      const { lastInsertRowid } = this.file.prepare("INSERT INTO invoices (total) VALUES (?)").run(this.written.source / 7);
      this.file.prepare("INSERT INTO lines (invoice, what) VALUES (?, 'at the source')").run(lastInsertRowid);
    })();
    this.written.source += 1;
  }

  async #billAtTarget(): Promise<void> {
    await this.client.query(
      "WITH i AS (INSERT INTO invoices (total) VALUES (0.5) RETURNING id) INSERT INTO lines (invoice, what) SELECT id, 'at the target' FROM i",
    );
    this.written.target += 1;
  }

  until(side: "source" | "target" | "main", more: number): Promise<void> {
    const from = this.written[side];
    return until(
      async () => this.written[side] >= from + more,
      60_000,
      () => `the application does not write to ${side}`,
    );
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#ended);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    this.file.close();
    await this.route[Symbol.asyncDispose]();
    await this.client.end();
  }
}

it("one group goes over and comes home while the application writes to both, and then both go", { timeout: 300_000 }, async () => {
  await using operator = await Operator.make({ ddl });
  operator.settings({ groups });
  await operator.answer("apply");
  expect(operator.rows("SELECT id FROM _cdc_state ORDER BY id")).toEqual([{ id: 1 }, { id: 2 }]);
  operator.run();
  await operator.caughtUp();
  expect(await operator.different({})).toEqual([]);
  expect(await operator.refusal("cutover", "run")).toMatchObject({ exit: 2, message: /wants --group.*main, billing/ });

  await using application = await Application.start(operator);
  await application.until("source", 20);
  expect(await operator.cutover("run", "--group", "billing")).toMatchObject({ outcome: "switched", error: null });
  await application.until("target", 20);
  await application.until("main", 20);
  await operator.caughtUp();
  expect(await operator.rollback("run", "--group", "billing")).toMatchObject({ outcome: "switched", error: null });
  await application.until("source", 20);
  await operator.cutover("run", "--group", "billing");
  await application.until("target", 20);
  await application.stop();
  expect(await operator.cutover("run", "--group", "main")).toMatchObject({ outcome: "switched", error: null });
  expect(() => operator.sql("DELETE FROM visits")).toThrow(/fenced off/);
  // What was written to PostgreSQL comes back to the file.
  await until(
    async () => (await operator.different({})).length === 0,
    60_000,
    () => "the two sides do not become equal",
  );
  expect(application.written.target).toBeGreaterThan(0);
});

it("a row that cannot be applied stops its group alone, and kills of both processes lose neither group anything", {
  timeout: 240_000,
}, async () => {
  await using operator = await Operator.make({ ddl });
  operator.settings({ groups });
  await operator.answer("apply");
  const first = { source: operator.run("source"), sink: operator.run("sink") };
  await operator.caughtUp();
  const application = await fill(operator);
  for (const running of [first.source, first.sink]) {
    running.child.kill("SIGKILL");
    await running.ended;
  }
  application();
  operator.run("source");
  operator.run("sink");
  await operator.caughtUp();
  expect(await operator.different({})).toEqual([]);

  // PostgreSQL has no NUL in a text.
  operator.sql("INSERT INTO lines (invoice, what) VALUES (1, 'bad' || char(0) || 'value')");
  const sink = await operator.says("sink", ({ state }) => state === "stopped");
  expect(sink.why).toMatch(/^group billing: /);
  operator.sql("INSERT INTO visits (customer, at) VALUES (2, 1.25)");
  expect((await operator.tailrace("wait", "caught-up", "--group", "main", "--timeout", "60s")).code).toBe(0);
  expect(await operator.different({ without: ["lines"] })).toEqual([]);
  expect((await operator.tailrace("wait", "caught-up", "--group", "billing", "--timeout", "1s")).code).toBe(5);
});

/** Writes to both groups until it is told to end. */
async function fill(operator: Operator): Promise<() => void> {
  const write = (i: number): void =>
    operator.sql(`BEGIN; INSERT INTO invoices (total) VALUES (${i}); INSERT INTO lines (invoice, what) VALUES (1, 'line ${i}');
      INSERT INTO visits (customer, at) VALUES (1, ${i}); COMMIT`);
  for (let i = 0; i < 200; i++) write(i);
  return () => {
    for (let i = 200; i < 250; i++) write(i);
  };
}
