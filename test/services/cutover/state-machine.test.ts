/** Every step of the cutover times every way it can go wrong. Each run ends in a settled state, and never are there two writable sides. */
import { describe, expect, it } from "vitest";
import { type CutoverKind, type CutoverState, cutoverStates, isFinished, movesFrom } from "../../../core/cutover/states.js";
import type { CutoverOutcome, CutoverPoint } from "../../../services/cutover/parts.js";
import { runCutover, settleLeft } from "../../../services/cutover/run-cutover.js";
import { FakeProcess, World } from "./world.js";

const never = new AbortController().signal;
const nothing = (): Promise<void> => Promise.resolve();
const steps: readonly CutoverState[] = [
  "preparing",
  "opening",
  "pausing",
  "fencing",
  "draining",
  "checking",
  "readying",
  "keeping",
  "switching",
  "switched",
];
const points = [...steps, "undoing" as const].flatMap((step): readonly CutoverPoint[] => [`${step}.before`, `${step}.after`]);
const kinds: readonly CutoverKind[] = ["cutover", "rehearsal"];

function gate(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve: () => void = () => {};
  const promise = new Promise<void>((open) => {
    resolve = open;
  });
  return { promise, resolve };
}

/** Settled: one side can be written, the journal is closed, and both say the same. */
function judge(world: World, where: string): void {
  expect(world.faults, where).toEqual([]);
  expect(world.record?.finishedAt, `${where}: the journal is open at ${world.record?.state}`).not.toBeNull();
  const switched = world.record?.state === "done";
  expect({ route: world.route.side, source: world.isSourceWritable(), target: world.isTargetWritable() }, where).toEqual(
    switched ? { route: "target", source: false, target: true } : { route: "source", source: true, target: false },
  );
  if (switched) expect(world.fence?.kept, where).toBe(true);
  expect(world.wayBack === "proven", `${where}: the way back is ${world.wayBack}`).toBe(switched);
}

const isFinishedAs = (world: World, state: CutoverState): boolean => world.record?.state === state;

const run = (process: FakeProcess, kind: CutoverKind): Promise<CutoverOutcome> => runCutover(process.parts(), kind, nothing, never);

/** The next operator: an `abort` settles, and that is all. */
async function successor(world: World): Promise<CutoverOutcome | null> {
  return await settleLeft(new FakeProcess(world).parts(), null, never);
}

describe("the state machine", () => {
  it("reaches an end from everywhere, and `undoing` from everywhere before the switch", () => {
    for (const kind of kinds) {
      for (const state of cutoverStates) {
        expect(movesFrom(state, kind).length === 0).toBe(isFinished(state));
        const before = steps.indexOf(state) >= 0 && state !== "switched";
        expect(movesFrom(state, kind).includes("undoing")).toBe(before);
      }
    }
  });

  it.each(kinds)("goes all the way without trouble: %s", async (kind) => {
    const world = new World();
    const outcome = await run(new FakeProcess(world), kind);
    expect(outcome.kind).toBe(kind === "cutover" ? "switched" : "rehearsed");
    judge(world, kind);
  });

  it.each(kinds.flatMap((kind) => points.map((point) => [kind, point] as const)))(
    "%s killed at %s is settled by the next process",
    async (kind, point) => {
      const world = new World();
      const process = new FakeProcess(world);
      let died = false;
      process.at = (passing) => {
        if (passing === point) {
          process.dead = true;
          died = true;
        }
        return Promise.resolve();
      };
      // A failure leads into undoing, whose points are reached by no other way in a cutover.
      if (point.startsWith("undoing") && kind === "cutover") world.trouble = { step: "checking", what: { kind: "failure" } };
      await run(process, kind).catch(() => null);
      expect(world.faults).toEqual([]);
      if (!died) return;
      const outcome = await successor(world);
      judge(world, `${kind} ${point}`);
      const isBehind = kind === "cutover" && ["switching.after", "switched.before", "switched.after"].includes(point);
      expect(outcome?.kind).toBe(isBehind ? "switched" : "undone");
      // Whoever comes then can do it all.
      if (!isBehind) expect((await run(new FakeProcess(world), "cutover")).kind).toBe("switched");
      judge(world, "the run after");
    },
  );

  it.each(kinds.flatMap((kind) => points.map((point) => [kind, point] as const)))(
    "%s stopped at %s, replaced and continued, changes nothing of what its successor did",
    async (kind, point) => {
      const world = new World();
      const zombie = new FakeProcess(world);
      const reached = gate();
      const goOn = gate();
      zombie.at = (passing) => {
        if (passing === point && zombie.stopped === null) {
          zombie.stopped = goOn.promise;
          reached.resolve();
        }
        return Promise.resolve();
      };
      if (point.startsWith("undoing") && kind === "cutover") world.trouble = { step: "checking", what: { kind: "failure" } };
      const running = run(zombie, kind).catch((thrown: unknown) => thrown);
      await Promise.race([reached.promise, running]);
      if (zombie.stopped === null) return;
      await successor(world);
      judge(world, `${kind} ${point}, replaced`);
      const told = { side: world.route.side, state: world.record?.state };
      goOn.resolve();
      await running;
      expect(world.faults).toEqual([]);
      expect({ side: world.route.side, state: world.record?.state }).toEqual(told);
      // At worst it has put up a fence for the time of one lease, and opened a way back that nobody needs: the next one finds it open.
      await world.clock.delay(10_000, never);
      if (point.startsWith("opening") && !isFinishedAs(world, "done")) world.wayBack = "closed";
      judge(world, `${kind} ${point}, continued`);
    },
  );

  it.each(kinds.flatMap((kind) => steps.flatMap((step) => (["failure", "hang"] as const).map((what) => [kind, step, what] as const))))(
    "%s meets at %s a %s, and goes back or stands",
    async (kind, step, what) => {
      const hasSignal = ["preparing", "opening", "fencing", "draining", "checking", "readying"].includes(step);
      // Short statements that PostgreSQL or SQLite limit themselves.
      if (what === "hang" && (!hasSignal || step === "preparing" || step === "opening")) return;
      const world = new World();
      world.trouble = { step, what: { kind: what } };
      const outcome = await run(new FakeProcess(world), kind);
      judge(world, `${kind} ${step} ${what}`);
      const isBehindRehearsal = kind === "rehearsal" && ["keeping", "switching", "switched"].includes(step);
      if (isBehindRehearsal) expect(outcome.kind).toBe("rehearsed");
      else expect(outcome.kind).toBe(step === "switched" ? "switched" : "undone");
      if (what === "hang" && outcome.kind === "undone") expect(outcome.error.code).toBe("cutover.late");
    },
  );

  it.each([true, false])(
    "a COMMIT of the switch whose reply is lost (made: %s) is settled by the route, once PostgreSQL answers",
    async (made) => {
      const world = new World();
      world.trouble = { step: "switching", what: { kind: "reply lost", made } };
      const outcome = await run(new FakeProcess(world), "cutover");
      expect(outcome.kind).toBe(made ? "switched" : "undone");
      judge(world, `made: ${made}`);
    },
  );

  it("PostgreSQL away for good with the fence kept: no side, a line to type, and an end once it is back", async () => {
    const world = new World();
    const process = new FakeProcess(world);
    process.at = (point) => {
      if (point === "keeping.after") world.postgresUpAtMs = world.clock.wallMs() + 600_000;
      return Promise.resolve();
    };
    const outcome = await run(process, "cutover");
    expect(outcome.kind).toBe("half-way");
    expect([world.isSourceWritable(), world.isTargetWritable()]).toEqual([false, false]);
    await world.clock.delay(600_000, never);
    expect((await successor(world))?.kind).toBe("undone");
    judge(world, "back again");
  });

  it("PostgreSQL away while the fence is leased: the application goes on at the source by itself", async () => {
    const world = new World();
    const process = new FakeProcess(world);
    process.at = (point) => {
      if (point === "draining.before") world.postgresUpAtMs = world.clock.wallMs() + 600_000;
      return Promise.resolve();
    };
    const outcome = await run(process, "cutover");
    expect(outcome.kind).toBe("half-way");
    expect(world.isSourceWritable()).toBe(true);
  });
});
