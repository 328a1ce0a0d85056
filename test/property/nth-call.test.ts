/**
 * Every call that source and sink make through a contract fails once: the first, the second, … until a run meets no failure. However it ends
 * (transient, undecided with and without its effect, for a person, by a bug, by the death of its process), the pipeline is exact in the end, or has
 * stopped with the code and is exact once somebody has started it again. Nothing hangs, and all that was opened is given back.
 */
import { describe, expect, it } from "vitest";
import { type FailureKind, failureKinds, failureOf } from "../support/simulation/failures.js";
import type { Process, Role } from "./model/services-world.js";
import { roles, ServicesWorld, type WorldOptions } from "./model/services-world.js";

const base: WorldOptions = {
  action: "cascade",
  kindOfA: "integer",
  kindOfB: "composite",
  partitionsOfA: 2,
  immediateUnique: true,
  severalRequests: false,
  mergeRecords: 5,
  wholeRows: 2,
  heldBytes: 1 << 20,
  retention: { retain: "applied", maxBytes: 1e9 },
  narrow: true,
};
/** Requests are split and windows are streamed. */
const small: WorldOptions = { ...base, severalRequests: true, heldBytes: 1, mergeRecords: 1, kindOfA: "text", immediateUnique: false };
type Way = FailureKind | "death before it" | "death after it";
const allWays: readonly Way[] = [...failureKinds, "death before it", "death after it"];

/** Worlds wait for the loop's turns now and then; several of them wait together. */
const atOnce = 4;
const fewWays: readonly Way[] = ["retry", "undecided after its effect", "stop", "death after it"];

describe.each([
  ["whole windows", base, allWays],
  ["small requests and streamed windows", small, fewWays],
] as const)("with %s, the pipeline survives that each call of", (_, options, ways) => {
  describe.each(roles)("the %s meets", (role) => {
    it.each(ways)("%s", { timeout: 240_000 }, async (way) => {
      const hit: string[] = [];
      for (let n = 1, isOver = false; !isOver; n += atOnce) {
        const some = await Promise.all(Array.from({ length: atOnce }, (_, i) => scenario(options, { role, way, n: n + i })));
        isOver = some.includes(null);
        hit.push(...some.filter((seen) => seen !== null));
      }
      // A loop that stops early would prove nothing.
      expect(hit.length).toBeGreaterThan(60);
      for (const call of calledAtLeast[role]) expect(hit).toContain(call);
    });
  });
});

const calledAtLeast: Readonly<Record<Role, readonly string[]>> = {
  source: [
    "process.openSource",
    "source.claiming",
    "source.batches.next",
    "batch.parts.next",
    "source.acknowledged",
    "source.prune",
  ].concat(
    ["writer.open", "log.appender", "appender.append", "session.append", "session.verifyTail", "session.dispose", "log.scan.next"],
    ["codec.encode", "follower.latest", "log.tail", "tail.next", "source.lag", "source.captureLog", "source.dispose", "log.trim"],
  ),
  sink: [
    "process.openTarget",
    "target.plan",
    "target.own",
    "target.paused",
    "target.watch",
    "target-session.apply",
    "target-session.finish",
  ].concat(
    ["reader.identity", "reader.windows.next", "window.parts.next", "window.inSourceOrder.next", "codec.decode", "log.bounds", "tail.next"],
    ["appender.append", "target.dispose", "target-session.dispose", "reader.dispose"],
  ),
};

/** Name of the call that failed; null: the run was over before the n-th. */
async function scenario(options: WorldOptions, { role, way, n }: { role: Role; way: Way; n: number }): Promise<string | null> {
  const world = new ServicesWorld(options);
  const { database } = world;
  let hit: string | null = null;
  let mayStop = way === "stop" || way === "bug";
  const begin = (it: Role): Process =>
    world.start(it, (call) => {
      if (it !== role || hit !== null || call.n !== n) return null;
      hit = call.name;
      if (way !== "death before it" && way !== "death after it") return failureOf(way, call);
      world.kill(role);
      return way === "death before it" ? { when: "never", error: new Error("dead") } : null;
    });
  const heal = (): void => {
    for (const it of roles) {
      const process = world.running[it];
      if (process === null) begin(it);
      else if (process.ended && mayStop) {
        mayStop = false;
        begin(it);
      }
    }
  };
  const settled = async (what: string): Promise<void> => {
    await world.until(() => {
      heal();
      return world.isSettled();
    }, what);
  };
  for (const it of roles) begin(it);
  await settled("the snapshot does not end");
  database.transaction([["insert", 3, 3, 3, 3]]);
  database.special("marker", "A", 0);
  await settled("a change does not arrive");
  database.transaction([
    ["rekey", 3, 3, 3, 4],
    ["swapUnique", 4, 3, 3, 5],
    ["delete", 1, 1, 1, 1],
  ]);
  database.special("touch", "A", 5);
  database.special("ask", "A", 0);
  database.loseTriggers("B");
  await world.run(200);
  database.heal();
  await settled("a re-read does not end");
  // Housekeeping and the slow comparison have their turn.
  await world.run(31_000);
  await settled("nothing was to be done");
  for (const it of roles) {
    heal();
    await world.stop(it);
  }
  expect(world.failure, `call ${n} of the ${role}: ${hit}`).toBe(null);
  if (way !== "stop" && way !== "bug") expect(world.stops, `call ${n} of the ${role}: ${hit}\n${world.warnings.join("\n")}`).toEqual([]);
  return hit;
}
