/**
 * Kills while the application writes on PostgreSQL and what it writes comes back to the file. No half transaction is ever seen in the file, nothing is lost
 * or doubled, nothing goes round again.
 *
 * TAILRACE_WAY_BACK_STRIKES=60 strikes 60 times; TAILRACE_FAULT_SEED=7 repeats a run.
 */
import { randomInt } from "node:crypto";
import Database from "better-sqlite3";
import pg from "pg";
import { expect, it } from "vitest";
import { Operator } from "../../e2e/operator.js";
import { randomOf } from "../../support/hostile/random.mjs";
import { until } from "../../support/oracles/until.js";
import { PostgresServer } from "../../support/postgres-server.js";
import { killRoleOnceThere } from "../cutover/run-struck.js";

const seed = Number(process.env["TAILRACE_FAULT_SEED"] ?? randomInt(1, 1_000_000));
const strikes = Number(process.env["TAILRACE_WAY_BACK_STRIKES"] ?? 4);
const accounts = 40;
const wealth = accounts * 1_000;
type Victim = "reverse" | "postgres" | "postgres at once" | "sessions" | "forward sink";
const victims: readonly Victim[] = ["reverse", "reverse", "postgres", "postgres at once", "sessions", "forward sink"];

const ddl = `
  PRAGMA journal_mode = WAL;
  CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL, note TEXT);
  CREATE TABLE transfer (id INTEGER PRIMARY KEY, payer INTEGER NOT NULL, payee INTEGER NOT NULL, amount INTEGER NOT NULL);
  WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${accounts})
    INSERT INTO account SELECT i, 1000, 'opened' FROM n;
`;

/** Moves money on PostgreSQL, each time in one transaction, and knows what was acknowledged. */
class Bank {
  readonly acknowledged: number[] = [];
  #stop = false;
  readonly #ended: Promise<void>;

  constructor(private readonly url: string) {
    this.#ended = this.#write();
  }

  get written(): number {
    return this.acknowledged.length;
  }

  async progress(count: number): Promise<void> {
    const enough = this.written + count;
    await until(
      () => this.written >= enough,
      60_000,
      () => "the application does not get on",
    );
  }

  async end(): Promise<void> {
    this.#stop = true;
    await this.#ended;
  }

  async #write(): Promise<void> {
    const random = randomOf(seed + 1);
    let client: pg.Client | null = null;
    for (let id = 1; !this.#stop; id++) {
      try {
        client ??= await connected(this.url);
        await transfer(client, id, random);
        this.acknowledged.push(id);
        // Not as fast as it can: while a service waits to be started again, more would come together than it can carry in the time that is left.
        await new Promise((resolve) => setTimeout(resolve, 2));
      } catch {
        // Whether it was committed nobody knows; if it was, it must come back like the others.
        await client?.end().catch(() => {});
        client = null;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
    await client?.end();
  }
}

async function connected(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => {});
  await client.connect();
  return client;
}

async function transfer(client: pg.Client, id: number, random: ReturnType<typeof randomOf>): Promise<void> {
  const [payer, payee, amount] = [random.between(1, accounts), random.between(1, accounts), random.between(1, 50)];
  await client.query("BEGIN");
  await client.query("INSERT INTO transfer VALUES ($1, $2, $3, $4)", [id, payer, payee, amount]);
  await client.query("UPDATE account SET balance = balance - $2 WHERE id = $1", [payer, amount]);
  await client.query("UPDATE account SET balance = balance + $2, note = $3 WHERE id = $1", [payee, amount, "x".repeat(amount * 100)]);
  await client.query("COMMIT");
}

/** Looks at the file in its own session, and remembers what must never be. */
class Onlooker {
  glances = 0;
  readonly faults: string[] = [];
  readonly #database: Database.Database;
  readonly #timer: NodeJS.Timeout;

  constructor(file: string) {
    this.#database = new Database(file, { readonly: true, timeout: 10_000 });
    const look = this.#database.prepare<[], { sum: number }>("SELECT sum(balance) AS sum FROM account");
    this.#timer = setInterval(() => {
      const { sum } = look.get() ?? { sum: 0 };
      this.glances += 1;
      if (sum !== wealth) this.faults.push(`the sum was ${sum}`);
    }, 5);
  }

  end(): void {
    clearInterval(this.#timer);
    this.#database.close();
  }
}

it(`carries everything back through ${strikes} kills (seed ${seed})`, { timeout: 120_000 + strikes * 30_000 }, async () => {
  await using server = await PostgresServer.start();
  await using operator = await Operator.make({ ddl, tables: { account: {}, transfer: {} }, server: server.url });
  await operator.answer("apply");
  operator.run();
  await operator.caughtUp();
  expect(await operator.cutover("run")).toMatchObject({ outcome: "switched", error: null });
  const captured = operator.rows<{ n: number }>("SELECT max(seq) AS n FROM _cdc_log")[0]?.n;
  const onlooker = new Onlooker(operator.file);
  const bank = new Bank(operator.database.url);
  const random = randomOf(seed);
  try {
    for (let n = 0; n < strikes; n++) {
      await comesBack(operator);
      await bank.progress(random.between(5, 40));
      await strike(random.pick(victims), { operator, server });
      await bank.progress(5);
    }
  } finally {
    await bank.end();
  }
  await until(
    async () => JSON.stringify(operator.rows("SELECT id FROM transfer ORDER BY id")) === JSON.stringify(await idsThere(operator)),
    90_000,
    () => "the file does not catch up",
  ).catch(async (thrown: unknown) => {
    const { stdout } = await operator.tailrace("status", "--json");
    throw new Error(
      `${String(thrown)}: ${operator.rows("SELECT id FROM transfer").length} of ${(await idsThere(operator)).length}\n${stdout}`,
    );
  });
  expect(await differing(operator)).toEqual([]);
  const ids = new Set(operator.rows<{ id: number }>("SELECT id FROM transfer").map(({ id }) => id));
  expect(bank.acknowledged.filter((id) => !ids.has(id))).toEqual([]);
  expect(onlooker.faults).toEqual([]);
  expect(onlooker.glances).toBeGreaterThan(10);
  onlooker.end();
  // The forward capture has logged nothing of it.
  expect(operator.rows<{ n: number }>("SELECT max(seq) AS n FROM _cdc_log")[0]?.n).toBe(captured);
});

/** Whatever was struck before is at work again: a service that dies while it starts is not what is asked about. */
async function comesBack(operator: Operator): Promise<void> {
  const there = (): number => operator.rows<{ n: number }>("SELECT count(*) AS n FROM transfer")[0]?.n ?? 0;
  const before = there();
  await until(
    () => there() > before,
    60_000,
    () => `nothing comes back any more, after ${before} transfers`,
  );
}

async function strike(
  victim: Victim,
  { operator, server }: { readonly operator: Operator; readonly server: PostgresServer },
): Promise<void> {
  switch (victim) {
    case "reverse":
      return killRoleOnceThere(operator, "reverse");
    case "forward sink":
      return killRoleOnceThere(operator, "sink");
    case "sessions":
      await server.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type IN ('client backend', 'walsender')",
      );
      return;
    case "postgres":
    case "postgres at once":
      server.end(victim === "postgres" ? "kill" : "immediate");
      await server.restart();
      return;
  }
}

async function asked<T>(operator: Operator, sql: string): Promise<readonly T[]> {
  const client = await connected(operator.database.url);
  try {
    return (await client.query(sql)).rows as T[];
  } finally {
    await client.end();
  }
}

const idsThere = (operator: Operator): Promise<readonly unknown[]> => asked(operator, "SELECT id::int AS id FROM transfer ORDER BY id");

async function differing(operator: Operator): Promise<readonly string[]> {
  return (await operator.different({})).slice(0, 5);
}
