/**
 * Kills during rollbacks, and while changes stream back, with an application that writes through its route throughout. After each strike one command settles
 * it; then it goes forth again. In the end both sides are equal, nothing acknowledged is lost or doubled, and the sum of all balances holds.
 *
 * TAILRACE_ROLLBACK_STRIKES=60 strikes more often; TAILRACE_FAULT_SEED=7 repeats a run.
 */
import { randomInt } from "node:crypto";
import { Client } from "pg";
import { expect, it } from "vitest";
import type { CutoverState } from "../../../core/cutover/states.js";
import { Operator } from "../../e2e/operator.js";
import { cutoverSteps as steps } from "../../support/cutover-steps.js";
import { randomOf } from "../../support/hostile/random.mjs";
import { until } from "../../support/oracles/until.js";
import { Writer } from "./rig.js";
import { runStruck } from "./run-struck.js";

const seed = Number(process.env["TAILRACE_FAULT_SEED"] ?? randomInt(1, 1_000_000));
const strikes = Number(process.env["TAILRACE_ROLLBACK_STRIKES"] ?? 2);
const wealth = 20 * 1_000_000;
const ddl = `
  PRAGMA journal_mode = WAL;
  CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);
  CREATE TABLE tx_ledger (id INTEGER PRIMARY KEY, side TEXT NOT NULL);
  WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20) INSERT INTO account SELECT i, 1000000 FROM n;
`;
type Victim = "tool at a point" | "tool" | "reverse" | "source" | "sessions";
const victims: readonly Victim[] = ["tool at a point", "tool", "reverse", "source", "sessions"];

interface Strike {
  readonly victim: Victim;
  readonly step: CutoverState;
  readonly afterMs: number;
}

const strikeAt = (operator: Operator, strike: Strike): Promise<number | null> =>
  runStruck(operator, { words: ["rollback", "run", "--max-pause", "20s"], strike, others: { sessions: () => ask(operator, endSessions) } });

const endSessions = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";

async function ask<T>(operator: Operator, sql: string): Promise<T[]> {
  const client = new Client({ connectionString: operator.database.url });
  client.on("error", () => {});
  await client.connect();
  try {
    return (await client.query(sql)).rows as T[];
  } finally {
    await client.end();
  }
}

/** As an operator does: the line is typed until it is done. */
async function typed(operator: Operator, ...words: readonly string[]): Promise<void> {
  let said = "";
  await until(
    async () => {
      const ended = await operator.tailrace(...words);
      said = `${ended.code} ${ended.stdout}${ended.stderr}`;
      return ended.code === 0;
    },
    120_000,
    () => `'${words.join(" ")}' does not come to its end: ${said}`,
  );
}

async function sideOf(operator: Operator): Promise<string> {
  const [last] = await ask<{ state: string; side: string }>(
    operator,
    "SELECT c.state, r.side FROM tailrace.cutover AS c, tailrace.route AS r ORDER BY c.id DESC LIMIT 1",
  );
  expect(["done", "undone"]).toContain(last?.state);
  return last?.side ?? "";
}

async function judge(operator: Operator, writer: Writer): Promise<readonly string[]> {
  const faults = [...(await operator.different({}))];
  const rows = await ask<{ id: string; n: string }>(operator, "SELECT id, count(*) AS n FROM tx_ledger GROUP BY id");
  const found = new Map(rows.map(({ id, n }) => [Number(id), Number(n)]));
  const lost = [...writer.acknowledged.keys()].filter((id) => !found.has(id));
  if (lost.length > 0)
    faults.push(`${lost.length} acknowledged writes are lost, the first ${lost[0]} (${writer.acknowledged.get(lost[0] ?? 0)})`);
  if ([...found.values()].some((n) => n !== 1)) faults.push("a number is there twice");
  if ([...found.keys()].some((id) => !writer.attempted.has(id))) faults.push("a row that nobody wrote");
  const [sum] = await ask<{ sum: string }>(operator, "SELECT sum(balance) AS sum FROM account");
  if (Number(sum?.sum) !== wealth) faults.push(`the sum of all balances is ${sum?.sum}`);
  return faults;
}

it(`${strikes} strikes at rollbacks lose and double nothing`, { timeout: strikes * 120_000 + 240_000 }, async () => {
  const random = randomOf(seed);
  const told: string[] = [];
  await using operator = await Operator.make({ ddl, tables: { account: {}, tx_ledger: {} } });
  await operator.answer("apply");
  operator.run();
  await operator.caughtUp();
  const writer = new Writer(operator, 0, "routed");
  try {
    await writer.progress();
    for (let n = 0; n < strikes; n++) {
      await typed(operator, "cutover", "run", "--max-lag", "30s", "--max-pause", "20s");
      await writer.progress();
      const strike: Strike = { victim: random.pick(victims), step: random.pick(steps), afterMs: random.between(0, 12) };
      const exit = await strikeAt(operator, strike);
      await typed(operator, "cutover", "abort");
      const side = await sideOf(operator);
      told.push(`${strike.victim} at ${strike.step} + ${strike.afterMs} ms: exit ${exit ?? "killed"}, ${side}`);
      await writer.progress();
      if (side === "target") await typed(operator, "rollback", "run", "--max-pause", "20s");
      expect(await sideOf(operator)).toBe("source");
      await writer.progress();
    }
    await writer.stop();
    await operator.caughtUp();
    expect(await judge(operator, writer)).toEqual([]);
    console.log(`seed ${seed}: ${strikes} strikes\n${told.join("\n")}`);
  } catch (thrown) {
    throw new Error(`seed ${seed}\n${told.join("\n")}\n${thrown instanceof Error ? thrown.message : String(thrown)}`, { cause: thrown });
  } finally {
    await writer.stop();
  }
});
