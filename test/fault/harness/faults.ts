/**
 * What goes wrong, and when, as a function of a seed. The plan is printed with every failure; the same seed makes the same plan (the moments
 * are as exact as the machine's timers, no more).
 */
import { setTimeout as pause } from "node:timers/promises";
import { randomOf } from "../../support/hostile/random.mjs";
import type { KafkaBroker } from "../../support/kafka.js";
import type { PostgresServer, ServerEnd } from "../../support/postgres-server.js";
import { stretched } from "./pace.js";
import type { TestPipeline } from "./pipeline.js";
import type { Role } from "./role-process.js";
import type { Tally } from "./tally.js";

type Survivor = "first" | "successor";
export type Fault =
  | { readonly afterMs: number; readonly kind: "kill"; readonly victims: readonly Role[] }
  | { readonly afterMs: number; readonly kind: "kill broker" }
  | { readonly afterMs: number; readonly kind: "kill postgres"; readonly how: ServerEnd }
  | { readonly afterMs: number; readonly kind: "kill application" }
  /** SIGSTOP, a successor is started, SIGCONT after a while; then one of the two is killed. `lockLost`: nothing but the log's claims divides them. */
  | {
      readonly afterMs: number;
      readonly kind: "freeze";
      readonly victim: Role;
      readonly forMs: number;
      readonly survivor: Survivor;
      readonly lockLost: boolean;
    }
  /** A second process beside one that runs; then one of the two is killed. */
  | { readonly afterMs: number; readonly kind: "double"; readonly role: Role; readonly forMs: number; readonly survivor: Survivor };

export interface Ground {
  readonly pipeline: TestPipeline;
  readonly broker: KafkaBroker | null;
  readonly server: PostgresServer | null;
  readonly tally: Tally;
  /** Starts the application again after it was killed. */
  readonly restartApplication: () => Promise<void>;
}

const kinds = [
  ...["kill source", "kill source", "kill source", "kill sink", "kill sink", "kill sink", "kill both"],
  ...["freeze source", "freeze sink", "double source", "double sink", "kill application"],
] as const;

export function planFaults(seed: number, count: number, has: { readonly broker: boolean; readonly server: boolean }): readonly Fault[] {
  const random = randomOf(seed);
  return Array.from({ length: count }, (): Fault => {
    const afterMs = random.between(200, 2500);
    if (has.broker && random.chance(0.12)) return { afterMs, kind: "kill broker" };
    if (has.server && random.chance(0.12)) return { afterMs, kind: "kill postgres", how: random.chance(0.5) ? "kill" : "immediate" };
    const [what = "", whom = ""] = random.pick(kinds).split(" ");
    const role: Role = whom === "sink" ? "sink" : "source";
    const survivor: Survivor = random.chance(0.5) ? "first" : "successor";
    const forMs = random.between(300, 6000);
    if (what === "freeze") {
      const lockLost = role === "source" && random.chance(0.5);
      return { afterMs, kind: "freeze", victim: role, forMs, survivor: lockLost ? "successor" : survivor, lockLost };
    }
    if (what === "double") return { afterMs, kind: "double", role, forMs: Math.ceil(forMs / 3), survivor };
    if (whom === "application") return { afterMs, kind: "kill application" };
    return { afterMs, kind: "kill", victims: whom === "both" ? ["source", "sink"] : [role] };
  });
}

/** As counted in the table. */
export function nameOf(fault: Fault): string {
  switch (fault.kind) {
    case "kill":
      return `SIGKILL of ${fault.victims.join(" and ")}`;
    case "kill broker":
      return "SIGKILL of the broker";
    case "kill postgres":
      return fault.how === "kill" ? "SIGKILL of PostgreSQL's postmaster" : "immediate stop of PostgreSQL";
    case "kill application":
      return "SIGKILL of the application";
    case "freeze":
      return `${fault.victim} stopped, succeeded, continued${fault.lockLost ? " (file lock lost)" : ""}`;
    case "double":
      return `two ${fault.role}s`;
  }
}

export const describePlan = (seed: number, plan: readonly Fault[]): string =>
  `seed ${seed}: ${plan.map((fault) => `${fault.afterMs} ms ${nameOf(fault)}${"survivor" in fault ? ` for ${fault.forMs} ms, the ${fault.survivor} goes on` : ""}`).join("; ")}`;

export async function carryOut(plan: readonly Fault[], ground: Ground): Promise<void> {
  for (const fault of plan) {
    // On a busy machine processes take longer to come up, and most should be hit at work.
    await alive(ground.pipeline, Math.min(stretched(fault.afterMs), 3 * fault.afterMs));
    await strike(fault, ground);
    ground.tally.add(nameOf(fault));
    ground.pipeline.revive();
  }
}

async function strike(fault: Fault, { pipeline, broker, server, restartApplication }: Ground): Promise<void> {
  switch (fault.kind) {
    case "kill":
      await Promise.all(fault.victims.flatMap((role) => pipeline.process(role)?.kill() ?? []));
      break;
    case "kill broker":
      await broker?.kill();
      await alive(pipeline, 300);
      await broker?.restart();
      break;
    case "kill postgres":
      server?.end(fault.how);
      await alive(pipeline, 300);
      await server?.restart();
      break;
    case "kill application":
      await pipeline.application.kill();
      await restartApplication();
      break;
    case "freeze":
      await freeze(fault, pipeline);
      break;
    case "double":
      await double(fault, pipeline);
      break;
  }
}

async function freeze(fault: Extract<Fault, { kind: "freeze" }>, pipeline: TestPipeline): Promise<void> {
  const { victim, forMs, survivor, lockLost } = fault;
  if (pipeline.process(victim)?.end !== null) pipeline.revive();
  const { zombie, successor } = pipeline.replace(victim, { lockLost });
  await alive(pipeline, forMs);
  zombie.continue();
  // Long enough for the one that was stopped to try what it was about to do, and to find out what it has become.
  for (let n = 0; n < (lockLost ? 20 : 3) && zombie.end === null; n++) await alive(pipeline, 100);
  if (survivor === "successor" || zombie.end !== null) await pipeline.bury();
  else {
    await successor.kill();
    pipeline.adopt(zombie);
  }
}

async function double({ role, forMs, survivor }: Extract<Fault, { kind: "double" }>, pipeline: TestPipeline): Promise<void> {
  if (pipeline.process(role)?.end !== null) pipeline.revive();
  const first = pipeline.process(role);
  const second = pipeline.double(role);
  await alive(pipeline, forMs);
  if (survivor === "first" || second.end !== null) await pipeline.bury();
  else {
    await first?.kill();
    pipeline.adopt(second);
  }
}

/** Time passes; whatever ends meanwhile is started again. */
export async function alive(pipeline: TestPipeline, ms: number, roles?: readonly Role[]): Promise<void> {
  const until = performance.now() + ms;
  while (performance.now() < until) {
    await pause(Math.min(100, Math.max(1, until - performance.now())));
    pipeline.revive(roles);
  }
}
