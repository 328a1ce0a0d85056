/**
 * What goes wrong, and when, as a function of a seed. The plan is printed with every failure; the same seed makes the same plan (the moments
 * are as exact as the machine's timers, no more).
 */
import { setTimeout as pause } from "node:timers/promises";
import { randomOf } from "../../support/hostile/random.mjs";
import type { KafkaBroker } from "../../support/kafka.js";
import type { TestPipeline } from "./pipeline.js";
import type { Role } from "./role-process.js";

export type Fault =
  | { readonly afterMs: number; readonly kind: "kill"; readonly victims: readonly Role[] }
  | { readonly afterMs: number; readonly kind: "kill broker" }
  | { readonly afterMs: number; readonly kind: "kill application" }
  /** SIGSTOP, a successor is started, SIGCONT after a while; then one of the two is killed. */
  | {
      readonly afterMs: number;
      readonly kind: "freeze";
      readonly victim: Role;
      readonly forMs: number;
      readonly survivor: "first" | "successor";
    };

const kinds = [
  "kill source",
  "kill source",
  "kill sink",
  "kill sink",
  "kill both",
  "freeze source",
  "freeze sink",
  "kill application",
] as const;

export function planFaults(seed: number, count: number, { broker }: { readonly broker: boolean }): readonly Fault[] {
  const random = randomOf(seed);
  return Array.from({ length: count }, (): Fault => {
    const afterMs = random.between(200, 2500);
    const kind = broker && random.chance(0.15) ? "kill broker" : random.pick(kinds);
    switch (kind) {
      case "kill source":
        return { afterMs, kind: "kill", victims: ["source"] };
      case "kill sink":
        return { afterMs, kind: "kill", victims: ["sink"] };
      case "kill both":
        return { afterMs, kind: "kill", victims: ["source", "sink"] };
      case "freeze source":
      case "freeze sink": {
        const survivor = random.chance(0.5) ? "first" : "successor";
        return { afterMs, kind: "freeze", victim: kind === "freeze sink" ? "sink" : "source", forMs: random.between(300, 6000), survivor };
      }
      default:
        return { afterMs, kind };
    }
  });
}

export const describePlan = (seed: number, plan: readonly Fault[]): string =>
  `seed ${seed}: ${plan.map((fault) => `${fault.afterMs} ms ${fault.kind} ${"victims" in fault ? fault.victims.join("+") : "victim" in fault ? `${fault.victim} ${fault.forMs} ms, then the ${fault.survivor} goes on` : ""}`.trim()).join("; ")}`;

export interface Ground {
  readonly pipeline: TestPipeline;
  readonly broker: KafkaBroker | null;
  /** Starts the application again after it was killed. */
  readonly restartApplication: () => Promise<void>;
}

export async function carryOut(plan: readonly Fault[], ground: Ground): Promise<void> {
  for (const fault of plan) {
    await alive(ground.pipeline, fault.afterMs);
    switch (fault.kind) {
      case "kill":
        await Promise.all(fault.victims.flatMap((role) => ground.pipeline.process(role)?.kill() ?? []));
        break;
      case "kill broker":
        await ground.broker?.kill();
        await alive(ground.pipeline, 300);
        await ground.broker?.restart();
        break;
      case "kill application":
        await ground.pipeline.application.kill();
        await ground.restartApplication();
        break;
      case "freeze":
        await freeze(fault, ground.pipeline);
        break;
    }
    ground.pipeline.revive();
  }
}

async function freeze({ victim, forMs, survivor }: Extract<Fault, { kind: "freeze" }>, pipeline: TestPipeline): Promise<void> {
  if (pipeline.process(victim)?.end !== null) pipeline.revive();
  const { zombie, successor } = pipeline.replace(victim);
  await alive(pipeline, forMs);
  zombie.continue();
  // Long enough for the one that was stopped to try what it was about to do.
  await alive(pipeline, 300);
  if (survivor === "successor" || zombie.end !== null) await pipeline.bury();
  else {
    await successor.kill();
    pipeline.adopt(zombie);
  }
}

/** Time passes; whatever ends meanwhile is started again. */
async function alive(pipeline: TestPipeline, ms: number): Promise<void> {
  const until = performance.now() + ms;
  while (performance.now() < until) {
    await pause(Math.min(100, Math.max(1, until - performance.now())));
    pipeline.revive();
  }
}
