/**
 * Kills in the middle of one table group's cutover or rollback, while the other group streams and the application writes to both. After each strike one
 * command settles the group that was struck; the other goes on by itself, is never paused, and neither loses or doubles anything.
 *
 * TAILRACE_GROUP_STRIKES=40 strikes more often; TAILRACE_GROUP_LOG=kafka over Kafka; TAILRACE_FAULT_SEED=7 repeats a run.
 */
import { randomInt } from "node:crypto";
import { Client } from "pg";
import { expect, it } from "vitest";
import type { CutoverState } from "../../../core/cutover/states.js";
import { Operator } from "../../e2e/operator.js";
import { cutoverSteps as steps } from "../../support/cutover-steps.js";
import { randomOf } from "../../support/hostile/random.mjs";
import { sharedKafka } from "../../support/kafka.js";
import { until } from "../../support/oracles/until.js";
import { Glances, judgeTwoGroups, TwoGroups, twoGroups, twoGroupsSchema } from "../../support/two-groups.js";
import { runStruck } from "./run-struck.js";

const seed = Number(process.env["TAILRACE_FAULT_SEED"] ?? randomInt(1, 1_000_000));
const strikes = Number(process.env["TAILRACE_GROUP_STRIKES"] ?? 2);
const overKafka = process.env["TAILRACE_GROUP_LOG"] === "kafka";
/** A service that was killed is there again, and has taken over, within this. */
const patienceMs = 120_000;

const verbs = ["cutover", "rollback"] as const;
type Verb = (typeof verbs)[number];
const victims = ["tool at a point", "tool", "source", "sink", "reverse"] as const;
interface Strike {
  readonly verb: Verb;
  readonly victim: (typeof victims)[number];
  readonly step: CutoverState;
  readonly afterMs: number;
}
const billing = ["--group", "billing"];
/** On a machine that has much to do. */
const patient = (verb: Verb): readonly string[] => ["--max-pause", "20s", ...(verb === "cutover" ? ["--max-lag", "60s"] : [])];

class Rig implements AsyncDisposable {
  #settledSlowestMs = 0;
  #streamedSlowestMs = 0;

  private constructor(
    readonly operator: Operator,
    readonly application: TwoGroups,
    private readonly client: Client,
    private readonly glances: Glances,
    private readonly outside: Client,
  ) {}

  static async make(log: object | undefined): Promise<Rig> {
    const operator = await Operator.make({ ddl: twoGroupsSchema, ...(log === undefined ? {} : { log }) });
    operator.settings({ groups: twoGroups, ...(log === undefined ? {} : { log }) });
    await operator.answer("apply");
    operator.run();
    await operator.caughtUp();
    const [client, outside] = [operator.database.url, operator.database.url].map((connectionString) => new Client({ connectionString }));
    if (client === undefined || outside === undefined) throw new Error("no client");
    await client.connect();
    await outside.connect();
    return new Rig(operator, await TwoGroups.start(operator.place), client, new Glances(outside), outside);
  }

  figures(): string {
    return (
      `settled within ${Math.round(this.#settledSlowestMs)} ms, main streamed on within ${Math.round(this.#streamedSlowestMs)} ms, ` +
      `at most ${Math.round(this.application.longestMs)} ms between two writes to main, ${JSON.stringify(this.application.written)}, ${this.glances.taken} glances`
    );
  }

  /** Strikes, settles with one command, and goes on until the group is where it was to go. Says where the strike had left it. */
  async strike(strike: Strike): Promise<string> {
    const { verb } = strike;
    const exit = await this.#struck(strike);
    const [began, written] = [performance.now(), this.application.written.main];
    const [{ settledMs, lines }] = await Promise.all([this.#settled(), this.#streamed(written, began)]);
    this.#settledSlowestMs = Math.max(this.#settledSlowestMs, settledMs);
    const side = await this.#side();
    const wanted = verb === "cutover" ? "target" : "source";
    await this.application.until(side, 3);
    if (side !== wanted) await this.#typed(verb, "run", ...billing, ...patient(verb));
    expect(await this.#side()).toBe(wanted);
    await this.application.until(wanted, 3);
    return `${verb}: ${strike.victim} at ${strike.step} + ${strike.afterMs} ms: exit ${exit ?? "killed"}, ${side}, settled in ${Math.round(settledMs)} ms (${lines}x)`;
  }

  async judge(): Promise<readonly string[]> {
    await this.application.stop();
    await this.operator.caughtUp();
    const halves = this.glances.halves.map((seen) => `half a transaction was seen: ${seen}`);
    return [...(await this.operator.different({})), ...(await judgeTwoGroups(this.application.written, this.client)), ...halves];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.application[Symbol.asyncDispose]();
    await this.glances[Symbol.asyncDispose]();
    await this.client.end();
    await this.outside.end();
    await this.operator[Symbol.asyncDispose]();
  }

  async #struck({ verb, ...strike }: Strike): Promise<number | null> {
    return await runStruck(this.operator, { words: [verb, "run", ...billing, ...patient(verb)], strike });
  }

  async #settled(): Promise<{ readonly settledMs: number; readonly lines: number }> {
    const began = performance.now();
    const lines = await this.#typed("cutover", "abort", ...billing);
    return { settledMs: performance.now() - began, lines };
  }

  /** The other group asks nobody's permission: what it had been given is in PostgreSQL. */
  async #streamed(written: number, began: number): Promise<void> {
    await until(
      async () => Number((await this.client.query<{ n: string }>("SELECT coalesce(max(id), 0) AS n FROM visits")).rows[0]?.n) >= written,
      patienceMs,
      () => "the other group does not stream any more",
    );
    this.#streamedSlowestMs = Math.max(this.#streamedSlowestMs, performance.now() - began);
  }

  /** As an operator does: the line is typed until it is done. Says how often. */
  async #typed(...words: readonly string[]): Promise<number> {
    let said = "";
    let lines = 0;
    await until(
      async () => {
        const ended = await this.operator.tailrace(...words);
        said = `${ended.code} ${ended.stdout}${ended.stderr}`;
        lines += 1;
        return ended.code === 0;
      },
      120_000,
      () => `'${words.join(" ")}' does not come to its end: ${said}`,
    );
    return lines;
  }

  async #side(): Promise<"source" | "target"> {
    const { rows } = await this.client.query<{ side: string; group_id: number }>("SELECT side, group_id FROM tailrace.route");
    // The other group was never touched: it has no route, no journal and no fence.
    expect(rows.map(({ group_id }) => group_id)).toEqual([2]);
    const journal = await this.client.query("SELECT FROM tailrace.cutover WHERE group_id <> 2 OR finished_at IS NULL");
    expect(journal.rows).toEqual([]);
    const fences = this.operator.rows<{ id: number }>("SELECT id FROM _cdc_state WHERE fence_kept = 1 OR fence_until IS NOT NULL");
    const side = rows[0]?.side === "target" ? "target" : "source";
    expect(fences.filter(({ id }) => id !== 2)).toEqual([]);
    return side;
  }
}

it(`${strikes} strikes at one group's cutovers and rollbacks lose and double nothing, and the other group goes on`, {
  timeout: strikes * 120_000 + 240_000,
}, async (context) => {
  const kafka = overKafka ? await sharedKafka() : null;
  if (kafka?.kind === "missing") return context.skip(`no Kafka: ${kafka.why}`);
  const random = randomOf(seed);
  const told: string[] = [];
  await using rig = await Rig.make(kafka === null ? undefined : { kind: "kafka", brokers: kafka.brokers });
  try {
    for (let n = 0; n < strikes; n++) {
      const verb = verbs[n % 2] ?? "cutover";
      told.push(await rig.strike({ verb, victim: random.pick(victims), step: random.pick(steps), afterMs: random.between(0, 12) }));
    }
    expect(await rig.judge()).toEqual([]);
    console.log(`seed ${seed}: ${strikes} strikes, ${rig.figures()}\n${told.join("\n")}`);
  } catch (thrown) {
    throw new Error(`seed ${seed}\n${told.join("\n")}\n${thrown instanceof Error ? thrown.message : String(thrown)}`, { cause: thrown });
  }
});
