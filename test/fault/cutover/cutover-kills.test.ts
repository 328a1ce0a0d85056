/**
 * Kills during a cutover, with applications that write throughout. After each strike one command settles it; nothing acknowledged is lost or doubled, the
 * sum of all balances holds, and one side can be written.
 *
 * `npm run fault:cutover` strikes 60 times; TAILRACE_CUTOVER_OUTSIDE=1 has a broker and a server of its own killed as well; TAILRACE_CUTOVER_POINTS=1 kills the tool once at every point instead; TAILRACE_FAULT_SEED=7 repeats a run.
 */
import { randomInt } from "node:crypto";
import { expect, it } from "vitest";
import type { CutoverState } from "../../../core/cutover/states.js";
import { cutoverSteps } from "../../support/cutover-steps.js";
import { randomOf } from "../../support/hostile/random.mjs";
import { startKafka } from "../../support/kafka.js";
import { PostgresServer } from "../../support/postgres-server.js";
import { describeStrike, type Outside, Rig, type Strike, type Victim } from "./rig.js";

const seed = Number(process.env["TAILRACE_FAULT_SEED"] ?? randomInt(1, 1_000_000));
const strikes = Number(process.env["TAILRACE_CUTOVER_STRIKES"] ?? 5);
const withOutside = process.env["TAILRACE_CUTOVER_OUTSIDE"] !== undefined;
const victims: readonly Victim[] = ["tool at a point", "tool at a point", "tool", "tool stopped", "source", "sink", "sessions"];
const steps: readonly CutoverState[] = [...cutoverSteps.filter((step) => step !== "preparing"), "undoing"];

/** Every point at which the tool can die, one after the other. */
const everyPoint = (): readonly Strike[] =>
  [0, 1].flatMap((afterMs) =>
    [...steps, "preparing" as const].map(
      (step): Strike => ({ kind: step === "undoing" ? "rehearse" : "run", victim: "tool at a point", step, afterMs }),
    ),
  );

function plan(): readonly Strike[] {
  if (process.env["TAILRACE_CUTOVER_POINTS"] !== undefined) return everyPoint();
  const random = randomOf(seed);
  return Array.from({ length: strikes }, (): Strike => {
    const kind = random.chance(0.5) ? "run" : "rehearse";
    const among = withOutside ? [...victims, "broker" as const, "postgres" as const] : victims;
    const possible = kind === "run" ? steps.filter((step) => step !== "undoing") : steps.filter((step) => !/^(keeping|switch)/.test(step));
    return { kind, victim: random.pick(among), step: random.pick(possible), afterMs: random.between(0, 12) };
  });
}

/** A broker and a server of our own, each of which is killed and started again. */
async function openOutside(): Promise<{ readonly outside: Outside; readonly close: () => Promise<void> }> {
  if (!withOutside) return { outside: {}, close: () => Promise.resolve() };
  const broker = await startKafka();
  const server = await PostgresServer.start();
  const outside: Outside = {
    brokers: broker.brokers,
    broker: async () => {
      await broker.kill();
      await broker.restart();
    },
    server: server.url,
    postgres: async () => {
      server.end("kill");
      await server.restart();
    },
  };
  const close = async (): Promise<void> => {
    await broker.stop();
    await server[Symbol.asyncDispose]();
  };
  return { outside, close };
}

const planned = plan();

it(`${planned.length} strikes lose and double nothing`, { timeout: planned.length * 60_000 + 120_000 }, async () => {
  let rig: Rig | null = null;
  const { outside, close } = await openOutside();
  const told: string[] = [];
  let slowestMs = 0;
  let switches = 0;
  try {
    for (const strike of planned) {
      rig ??= await Rig.make(outside);
      const { switched, exit } = await rig.strike(strike);
      told.push(`${describeStrike(strike)}: exit ${exit ?? "killed"}, ${switched ? "switched" : "undone"}`);
      slowestMs = Math.max(slowestMs, rig.settledSlowestMs);
      if (!switched) continue;
      switches += 1;
      expect(await rig.judge(true), `seed ${seed}\n${told.join("\n")}`).toEqual([]);
      await rig[Symbol.asyncDispose]();
      rig = null;
    }
    if (rig !== null) expect(await rig.judge(false), `seed ${seed}\n${told.join("\n")}`).toEqual([]);
    console.log(
      `seed ${seed}: ${planned.length} strikes, ${switches} switched, settled within ${Math.round(slowestMs)} ms\n${told.join("\n")}`,
    );
  } catch (thrown) {
    throw new Error(`seed ${seed}\n${told.join("\n")}\n${thrown instanceof Error ? thrown.message : String(thrown)}`, { cause: thrown });
  } finally {
    await rig?.[Symbol.asyncDispose]();
    await close();
  }
});
