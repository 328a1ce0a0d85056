/**
 * Forth and back, five times, over a real file and a real PostgreSQL, with an application that writes through the routing library all the time: after each
 * switch both sides are equal, and in the end everything that was acknowledged is there once. Between the sides there is no log: batches go straight into
 * the other side's session.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import pg from "pg";
import { RowComparer } from "../../../connectors/postgres/cutover/compare-rows.js";
import { openCutoverDesk } from "../../../connectors/postgres/cutover/desk.js";
import { openPostgresFence } from "../../../connectors/postgres/cutover/postgres-fence.js";
import { openRoute, type RouteClient } from "../../../connectors/postgres/routing/route-client.js";
import { openWayBackDesk } from "../../../connectors/postgres/source/desk.js";
import { openSqliteFence } from "../../../connectors/sqlite/fence.js";
import { comeHome } from "../../../connectors/sqlite/home-coming.js";
import { openSqliteInspector } from "../../../connectors/sqlite/inspect/inspector.js";
import { openSqliteNumbers } from "../../../connectors/sqlite/numbers.js";
import { openSqliteTarget } from "../../../connectors/sqlite/target/open-target.js";
import { systemClock } from "../../../core/clock.js";
import type { LogStore } from "../../../core/contracts/log-store.js";
import { Secret } from "../../../core/secret.js";
import { markerId, theGroup } from "../../../core/vocabulary/ids.js";
import { type CutoverParts, defaultLimits } from "../../../services/cutover/parts.js";
import { runCutover } from "../../../services/cutover/run-cutover.js";
import { WayHome } from "../../../services/cutover/way-back.js";
import { WholeCheck } from "../../../services/cutover/whole-check.js";
import { carryBack } from "../../support/carry-back.js";
import { PostgresServer } from "../../support/postgres-server.js";
import { SourceFile } from "../../support/sqlite.js";
import { TwoSides } from "../../support/two-sides.js";

const never = new AbortController().signal;
const cycles = 5;
const accounts = 8;
const ddl = `
  CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);
  CREATE TABLE person (id INTEGER PRIMARY KEY AUTOINCREMENT, email TEXT UNIQUE, account INTEGER REFERENCES account (id) ON DELETE CASCADE, seen REAL);
  CREATE TABLE ledger (n INTEGER PRIMARY KEY, side TEXT, person INTEGER);
  WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${accounts}) INSERT INTO account SELECT i, 1000 FROM n;
  INSERT INTO person (email, account, seen) VALUES ('first@x', 1, 0.1);`;

let server: PostgresServer;
beforeAll(async () => {
  server = await PostgresServer.start();
});
afterAll(() => server[Symbol.asyncDispose]());

/** Moves money and adds people, one transaction after the other, wherever the route says; ids that either side has given are kept. */
class Application {
  readonly acknowledged: number[] = [];
  readonly given: number[] = [];
  readonly sides = new Set<string>();
  #n = 0;

  constructor(
    private readonly file: SourceFile,
    private readonly client: pg.Client,
    private readonly route: RouteClient,
  ) {}

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const n = ++this.#n;
      const id = await this.route
        .write((side) => (side === "source" ? this.#atSource(n) : this.#atTarget(n)), signal)
        .catch((thrown: unknown) => {
          if (signal.aborted) return null;
          throw thrown;
        });
      if (id === null) return;
      this.acknowledged.push(n);
      this.given.push(id);
      await systemClock.delay(2, signal).catch(() => {});
    }
  }

  async #atSource(n: number): Promise<number> {
    const app = this.file.application();
    const id = app
      .transaction(() => {
        app.prepare("UPDATE account SET balance = balance - 1 WHERE id = ?").run(1 + (n % accounts));
        app.prepare("UPDATE account SET balance = balance + 1 WHERE id = ?").run(1 + ((n + 3) % accounts));
        const made = app.prepare("INSERT INTO person (email, account, seen) VALUES (?, ?, ?)").run(`p${n}@x`, 1 + (n % accounts), n / 7);
        if (n % 5 === 0) app.prepare("DELETE FROM person WHERE id = (SELECT max(id) FROM person)").run();
        app.prepare("INSERT INTO ledger VALUES (?, 'source', ?)").run(n, made.lastInsertRowid);
        return Number(made.lastInsertRowid);
      })
      .immediate();
    this.sides.add("source");
    return id;
  }

  async #atTarget(n: number): Promise<number> {
    const { client } = this;
    try {
      await client.query("BEGIN");
      await client.query("UPDATE account SET balance = balance - 1 WHERE id = $1", [1 + (n % accounts)]);
      await client.query("UPDATE account SET balance = balance + 1 WHERE id = $1", [1 + ((n + 3) % accounts)]);
      const { rows } = await client.query<{ id: string }>("INSERT INTO person (email, account, seen) VALUES ($1, $2, $3) RETURNING id", [
        `p${n}@x`,
        1 + (n % accounts),
        n / 7,
      ]);
      if (n % 5 === 0) await client.query("DELETE FROM person WHERE id = (SELECT max(id) FROM person)");
      await client.query("INSERT INTO ledger VALUES ($1, 'target', $2)", [n, rows[0]?.id]);
      await client.query("COMMIT");
      this.sides.add("target");
      return Number(rows[0]?.id);
    } catch (thrown) {
      await client.query("ROLLBACK");
      throw thrown;
    }
  }
}

function partsOf(sides: TwoSides, comparer: RowComparer): CutoverParts {
  const { file, database, plan } = sides;
  const { path, pipeline, directory } = file;
  const url = new Secret(database.url);
  const inspector = openSqliteInspector(path, { group: theGroup });
  const fence = openSqliteFence({ path, pipeline });
  const home = openSqliteTarget({ path, pipeline, lockDirectory: directory });
  const check = new WholeCheck({ inspector, target: comparer, tables: plan.tables });
  const noLog = { ensure: () => Promise.resolve() } as unknown as LogStore;
  let markers = 0;
  return {
    group: theGroup,
    clock: systemClock,
    holder: "test",
    fence,
    numbers: openSqliteNumbers(path),
    desk: openCutoverDesk({ url, pipeline }),
    check,
    back: {
      fence: openPostgresFence({ url, pipeline }),
      check,
      passed: () => home.passed(theGroup, never),
      forget: () => home.destroy({ tables: false }, never),
      arrive: async (session) => {
        const state = await fence.state(theGroup);
        const numbers = await session.given();
        comeHome({ path, group: theGroup, marker: state.kind === "open" ? null : state.marker, numbers });
      },
    },
    wayBack: new WayHome({
      isHomeOpen: () => true,
      desk: openWayBackDesk({ url, pipeline }),
      home,
      withLog: (work) => work(noLog),
      prefix: "shop.back",
      plan,
      clock: systemClock,
    }),
    hooks: { tell: () => Promise.resolve() },
    newMarker: () => markerId(`marker ${++markers}`),
    limits: { ...defaultLimits, pauseMs: 60_000, leaseMs: 20_000, fenceWaitMs: 30_000 },
    tell: () => {},
    at: () => Promise.resolve(),
  };
}

test("five times forth and back under writes, equal after each, and nothing that was acknowledged is lost or doubled", {
  timeout: 240_000,
}, async () => {
  await using sides = await TwoSides.over(await SourceFile.of(ddl), new Map(), server.url);
  await sides.sync();
  const { database, file, plan } = sides;
  await using comparer = await RowComparer.open(new Secret(database.url));
  const parts = partsOf(sides, comparer);
  await parts.wayBack?.open(theGroup, never);
  const stop = new AbortController();
  sides.run();
  const carrying = carryBack(sides, stop.signal).catch((thrown: unknown) => {
    if (!stop.signal.aborted) throw thrown;
  });
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  const pauses: Record<string, number[]> = { cutover: [], rollback: [] };
  try {
    await using route = await openRoute({ url: database.url, pipeline: file.pipeline, sourceIsFenced: true });
    const application = new Application(file, client, route);
    const stopWriting = new AbortController();
    const writing = application.run(stopWriting.signal);
    const more = async (): Promise<void> => {
      const wanted = application.acknowledged.length + 15;
      while (application.acknowledged.length < wanted) await systemClock.delay(5, never);
    };
    for (let cycle = 0; cycle < cycles; cycle++) {
      for (const kind of ["cutover", "rollback"] as const) {
        await more();
        const outcome = await runCutover(parts, kind, () => Promise.resolve(), never);
        expect([cycle, outcome.kind, "error" in outcome ? outcome.error : null]).toEqual([cycle, "switched", null]);
        if (outcome.kind === "switched") pauses[kind]?.push(Math.round(outcome.pauseMs ?? 0));
        expect((await parts.desk.route(theGroup, never)).side).toBe(kind === "cutover" ? "target" : "source");
      }
    }
    await more();
    stopWriting.abort();
    await writing;
    await sides.settled();
    expect(await parts.check.check({ history: 0, order: 0, index: 0 }, never)).toMatchObject({ equal: true, different: 0 });
    expect([...application.sides].toSorted()).toEqual(["source", "target"]);
    const held = file.application().prepare("SELECT n FROM ledger ORDER BY n").pluck().all() as number[];
    expect(application.acknowledged.filter((n) => !held.includes(n))).toEqual([]);
    expect(new Set(application.given).size).toBe(application.given.length);
    expect(file.application().prepare("SELECT sum(balance) FROM account").pluck().get()).toBe(accounts * 1000);
    expect(file.application().pragma("foreign_key_check")).toEqual([]);
    expect(plan.tables).toHaveLength(3);
    console.log(`pauses in ms: ${JSON.stringify(pauses)}`);
  } finally {
    stop.abort();
    await carrying;
    await client.end();
    await parts.wayBack?.close(theGroup, never);
  }
});
