import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, expect, it } from "vitest";
import { openRoute, type RouteClient, type RouteOptions, type Writable } from "../../../connectors/postgres/routing/route-client.js";
import { connectTarget } from "../../../connectors/postgres/connect.js";
import type { Target } from "../../../core/contracts/target.js";
import { contractPipeline, never, nothingStale, parentPlan, planOf } from "../../contracts/target-fixtures.js";
import { until } from "../../support/oracles/until.js";
import { freshDatabase, type TestDatabase } from "../../support/postgres.js";
import { losingProxy } from "./proxy.js";

let database: TestDatabase;
let target: Target;

beforeEach(async () => {
  database = await freshDatabase();
  target = await connectTarget({ url: database.url, pipeline: contractPipeline }, never);
  await target.prepare(planOf(parentPlan), nothingStale, never);
});
afterEach(async () => {
  await target[Symbol.asyncDispose]();
  await database[Symbol.asyncDispose]();
});

const open = (more: Partial<RouteOptions> = {}): Promise<RouteClient> =>
  openRoute({ url: database.url, pipeline: contractPipeline, leaseMs: 2_000, ...more });
const where = (client: RouteClient): Promise<Writable> => client.write((side) => side);
/** As a person does it by hand. */
const setRoute = (side: "source" | "paused" | "target") =>
  database.query(
    `INSERT INTO tailrace.route (pipeline, group_id, side, paused_on, version) VALUES ('contract', 1, $1, $2, 1)
     ON CONFLICT (pipeline, group_id) DO UPDATE SET side = excluded.side, paused_on = excluded.paused_on, version = route.version + 1`,
    [side, side === "paused" ? "source" : null],
  );
const said = (client: RouteClient, side: string): Promise<void> =>
  until(
    () => client.route()?.side === side,
    30_000,
    () => `the route is ${client.route()?.side}`,
  );

it("writes to the source, holds while paused, and goes on at the target", async () => {
  await using client = await open();
  expect(await where(client)).toBe("source");
  await setRoute("paused");
  await said(client, "paused");
  let done: Writable | null = null;
  const waiting = where(client).then((side) => {
    done = side;
  });
  expect(done).toBeNull();
  await setRoute("target");
  await waiting;
  expect(done).toBe("target");
});

it("hears of a change at once, long before it would ask", async () => {
  await using client = await open({ leaseMs: 600_000 });
  await setRoute("target");
  await said(client, "target");
  expect(await where(client)).toBe("target");
});

it("asks when a notification is lost", async () => {
  await database.query("ALTER TABLE tailrace.route DISABLE TRIGGER tell_route");
  await using client = await open({ leaseMs: 400 });
  await setRoute("target");
  await said(client, "target");
});

it("begins work again only when a fence refused it", async () => {
  await using client = await open();
  let tries = 0;
  const refused = async (): Promise<never> => {
    tries += 1;
    throw new Error("UNIQUE constraint failed");
  };
  await expect(client.write(refused)).rejects.toThrow("UNIQUE");
  expect(tries).toBe(1);
  const sides: Writable[] = [];
  const result = client.write((side) => {
    sides.push(side);
    if (side === "source") throw new Error("tailrace: writes are fenced off while the database is being switched over");
    return "done";
  });
  await until(
    () => sides.length >= 2,
    30_000,
    () => "the fence was met once only",
  );
  await setRoute("target");
  expect(await result).toBe("done");
  expect(new Set(sides.slice(0, -1))).toEqual(new Set(["source"]));
});

it("cut off from PostgreSQL it stops writing when its lease is over, and goes on when it can ask again", async () => {
  await using proxy = await losingProxy(database.url);
  await using client = await open({ url: proxy.url, leaseMs: 500 });
  await using trusting = await open({ url: proxy.url, leaseMs: 500, sourceIsFenced: true });
  await until(
    () => client.writable() === "source",
    30_000,
    () => "it may not write",
  );
  proxy.lose({ from: "client", bytes: Buffer.from("") });
  await until(
    () => client.writable() === null,
    30_000,
    () => "it still writes",
  );
  expect(trusting.writable()).toBe("source");
  await setRoute("target");
  const waiting = where(client);
  proxy.lose(null);
  expect(await waiting).toBe("target");
  await said(trusting, "target");
  expect(await where(trusting)).toBe("target");
});

it("a wait ends with its signal or with the client", async () => {
  await setRoute("paused");
  const client = await open();
  const stop = new AbortController();
  const waiting = expect(client.write(() => null, stop.signal)).rejects.toThrow(/abort/i);
  stop.abort();
  await waiting;
  const other = expect(client.write(() => null)).rejects.toThrow(/closed/);
  await client[Symbol.asyncDispose]();
  await other;
});

const waiting = `
const { openRoute } = await import(process.argv[1]);
const route = await openRoute({ url: process.argv[2], pipeline: "contract", leaseMs: 1_000 });
console.log("open");
console.log(await route.write((side) => side));
await route[Symbol.asyncDispose]();`;

it("keeps a process alive that waits for a route while its connection is lost, and lets it end afterwards", async () => {
  await using proxy = await losingProxy(database.url);
  await setRoute("paused");
  const module = join(process.cwd(), "dist/connectors/postgres/routing/route-client.js");
  const child = spawn(process.execPath, ["--input-type=module", "-e", waiting, module, proxy.url], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "close");
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  expect((await lines.next()).value).toBe("open");
  proxy.lose({ from: "client", bytes: Buffer.from("") });
  // Its next question is lost, and so is the connection.
  await until(
    async () => {
      // Of this database: other test files have clients of their own on the same server.
      const rows = await database.query(
        "SELECT FROM pg_stat_activity WHERE application_name = 'tailrace-routing' AND datname = current_database()",
      );
      return rows.length === 0;
    },
    30_000,
    () => "the connection is not lost",
  );
  await setRoute("target");
  proxy.lose(null);
  expect((await lines.next()).value).toBe("target");
  expect(await ended).toEqual([0, null]);
});

it("refuses to open when PostgreSQL cannot be asked", async () => {
  await expect(openRoute({ url: "postgresql://nobody@127.0.0.1:1/none", pipeline: "x" })).rejects.toThrow();
});

it("lets go of a source that one process has at a time: behind the work that runs there, before any other, and again after a pause that came to nothing", async () => {
  const story: string[] = [];
  let closes = 0;
  await using client = await open({
    leaveSource: () => {
      story.push("left");
      // Somebody may fail to close: it is asked again.
      return ++closes === 1 ? Promise.reject(new Error("not yet")) : Promise.resolve();
    },
    leaseMs: 400,
  });
  let end = (): void => {};
  const long = client.write(async (side) => {
    story.push(`begins at ${side}`);
    await new Promise<void>((resolve) => {
      end = resolve;
    });
    story.push("ends");
  });
  // A pause that comes first is what it would wait for.
  await until(
    () => story.length === 1,
    30_000,
    () => "the work does not begin",
  );
  await setRoute("paused");
  await said(client, "paused");
  expect(story).toEqual(["begins at source"]);
  end();
  await long;
  await until(
    () => closes === 2,
    30_000,
    () => `closed ${closes} times`,
  );
  expect(story).toEqual(["begins at source", "ends", "left", "left"]);
  await setRoute("source");
  await client.write((side) => story.push(side));
  await setRoute("target");
  await until(
    () => closes === 3,
    30_000,
    () => `closed ${closes} times`,
  );
  await client.write((side) => story.push(side));
  expect(story.slice(4)).toEqual(["source", "left", "target"]);
});

it("takes a file that it cannot open for a refusal of the fence, where it was told to let go of one", async () => {
  await using client = await open({ leaveSource: () => Promise.resolve() });
  const refusals = ["IO Error: Could not set lock on file", 'IO Error: The file "x" exists, but it is not a valid DuckDB database file!'];
  const side = await client.write((where) => {
    const refusal = refusals.shift();
    if (refusal !== undefined) throw new Error(refusal);
    return where;
  });
  expect(side).toBe("source");
  await using other = await open();
  await expect(
    other.write(() => {
      throw new Error("Could not set lock on file");
    }),
  ).rejects.toThrow("Could not set lock");
});
