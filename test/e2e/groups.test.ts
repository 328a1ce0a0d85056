/** Two table groups by the command alone: one goes to PostgreSQL and home again while the application goes on writing to both. */
import { Client } from "pg";
import { expect, it } from "vitest";
import { answerOf, shapeOf } from "../cli/command.js";
import { sharedKafka } from "../support/kafka.js";
import { until } from "../support/oracles/until.js";
import { judgeTwoGroups, twoGroups as groups, TwoGroups, twoGroupsSchema as ddl } from "../support/two-groups.js";
import { Operator, type OperatorOptions } from "./operator.js";

const isLong = process.env["TAILRACE_TEST_LONG"] === "1";
const says = "one group goes over and comes home while the application writes to both, and then both go";

it(`${says}, over Kafka`, { timeout: 600_000 }, async (context) => {
  const kafka = await sharedKafka();
  if (kafka.kind === "missing") return context.skip(`no Kafka: ${kafka.why}`);
  await walk({ log: { kind: "kafka", brokers: kafka.brokers } });
});
// Above the log it is the same code; kills of one group's cutover (test/fault/cutover) go over the embedded log.
it(`${says}, over the embedded log`, { timeout: 600_000 }, async (context) => {
  if (!isLong) return context.skip("long: TAILRACE_TEST_LONG=1");
  await walk({});
});

/** As an operator does on a machine that has much to do: patient, and the line is typed again while gates refuse it or it went back. */
async function moved(operator: Operator, verb: "cutover" | "rollback", group: string): Promise<void> {
  const patient = ["--max-pause", "60s", ...(verb === "cutover" ? ["--max-lag", "60s"] : [])];
  let said = "";
  await until(
    async () => {
      const ended = await operator.tailrace(verb, "run", "--group", group, ...patient, "--json");
      said = `${ended.code} ${ended.stdout}${ended.stderr}`;
      if (ended.code === 0) expect(answerOf(ended)).toMatchObject({ outcome: "switched", error: null });
      return ended.code === 0;
    },
    120_000,
    () => `'${verb} run --group ${group}' does not come to its end: ${said}`,
  );
}

async function walk(more: OperatorOptions): Promise<void> {
  await using operator = await Operator.make({ ddl, ...more });
  operator.settings({ groups });
  await operator.answer("apply");
  expect(operator.rows("SELECT id FROM _cdc_state ORDER BY id")).toEqual([{ id: 1 }, { id: 2 }]);
  operator.run();
  await operator.caughtUp();
  expect(await operator.refusal("cutover", "run")).toMatchObject({ exit: 2, message: /wants --group.*main, billing/ });

  await using application = await TwoGroups.start(operator.place);
  await application.until("source", 20);
  await moved(operator, "cutover", "billing");
  // Both directions at once: billing comes back to the file while main goes on to PostgreSQL.
  await application.until("target", 20);
  await application.until("main", 20);
  await operator.caughtUp();
  expect(await operator.answer("verify", "run")).toMatchObject({ outcome: "equal" });
  await expect
    .poll(() => operator.answer("status"), { timeout: 120_000 })
    .toMatchObject({ groups: [{ side: "source" }, { side: "target", behind: { why: null } }] });
  expect((await operator.tailrace("doctor", "--json")).stdout).toMatch(/"id":"way-back.slot"[^}]*group billing/);
  await moved(operator, "rollback", "billing");
  await application.until("source", 20);
  await operator.caughtUp();
  expect(await operator.answer("verify", "run")).toMatchObject({ outcome: "equal" });
  await moved(operator, "cutover", "billing");
  await application.until("target", 20);
  await application.stop();
  await moved(operator, "cutover", "main");
  expect(() => operator.sql("DELETE FROM visits")).toThrow(/fenced off/);
  // What was written to PostgreSQL comes back to the file.
  await until(
    async () => (await operator.different({})).length === 0,
    120_000,
    () => "the two sides do not become equal",
  );
  const client = new Client({ connectionString: operator.database.url });
  await client.connect();
  try {
    expect(await judgeTwoGroups(application.written, client)).toEqual([]);
  } finally {
    await client.end();
  }
}

it("a row that cannot be applied stops its group alone, and kills of both processes lose neither group anything", {
  timeout: 300_000,
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
  expect((await operator.tailrace("wait", "caught-up", "--group", "main", "--timeout", "120s")).code).toBe(0);
  expect(await operator.different({ without: ["lines"] })).toEqual([]);
  expect((await operator.tailrace("wait", "caught-up", "--group", "billing", "--timeout", "1s")).code).toBe(5);
  // The source hears in its own time what each group has applied.
  let seen: unknown = null;
  await expect
    .poll(async () => (seen = (await operator.answer("status"))["groups"]), { timeout: 120_000 })
    .toMatchObject([
      { group: "main", side: "source", behind: { changes: 0, ms: 0, why: null } },
      { group: "billing", side: "source", behind: { changes: 2, why: null } },
    ]);
  expect(shapeOf(seen)).toEqual([
    {
      group: "string",
      id: "number",
      side: "string",
      paused: "boolean",
      phase: "string",
      applied: "string",
      tables: ["string"],
      behind: { changes: "number", ms: "number", why: "null" },
    },
  ]);
  const lag = async (group: string): Promise<number | null> => await operator.metric("source", "tailrace_lag_changes", `group="${group}"`);
  await until(
    async () => (await lag("main")) === 0 && (await lag("billing")) === 2,
    120_000,
    () => "the metrics do not say how far each group is behind",
  );
  expect(await operator.metric("sink", "tailrace_sink_windows_total", 'group="main"')).toBeGreaterThan(0);
});

it("settings that would arrange groups anew are refused by name, and nothing is changed", { timeout: 300_000 }, async () => {
  await using operator = await Operator.make({ ddl: `${ddl} CREATE TABLE stock (id INTEGER PRIMARY KEY);` });
  operator.settings({ groups });
  await operator.answer("apply");
  const applied = async (): Promise<unknown> => [
    await operator.ask("SELECT source, group_id, plan FROM tailrace.pipeline_table ORDER BY source"),
    operator.rows("SELECT * FROM _cdc_tables ORDER BY 1"),
    operator.rows("SELECT name, sql FROM sqlite_schema WHERE name GLOB '_cdc_*' ORDER BY name"),
  ];
  const before = await applied();
  const mistakes: readonly (readonly [Record<string, unknown>, number, RegExp])[] = [
    [{ groups: { ...groups, depot: ["lines"] } }, 2, /depot\[0\] is in group 'billing' already/],
    [{ groups: { billing: ["invoices", "line"] } }, 7, /Group 'billing' names a table 'line' that is not captured.*Did you mean 'lines'/],
    [
      { groups: { ...groups, depot: ["customers"] } },
      7,
      /foreign key \(customer\) of 'visits', in group 'main', refers to 'customers', in group 'depot'/,
    ],
    [{ groups: { billing: [...groups.billing, "stock"] } }, 7, /Table 'stock' is in group 'main' and cannot move into 'billing'/],
    [{ groups: { bills: groups.billing } }, 7, /Group 'billing' is applied and settings do not name it any more/],
    [{}, 7, /is in group 'billing' and cannot move into 'main'/],
  ];
  for (const [settings, exit, says] of mistakes) {
    operator.settings(settings);
    expect(await operator.refusal("apply")).toMatchObject({ exit, message: expect.stringMatching(says) as unknown });
  }
  expect(await applied()).toEqual(before);
});

/** Writes to both groups until it is told to end. */
async function fill(operator: Operator): Promise<() => void> {
  const write = (i: number): void =>
    operator.sql(`BEGIN; INSERT INTO invoices (n, total) VALUES (${i}, ${i}); INSERT INTO lines (invoice, what) VALUES (1, 'line ${i}');
      INSERT INTO visits (customer, at) VALUES (1, ${i}); COMMIT`);
  for (let i = 0; i < 200; i++) write(i);
  return () => {
    for (let i = 200; i < 250; i++) write(i);
  };
}
