/** Every step of the cutover times every way it can go wrong. Each run ends in a settled state, and never are there two writable sides. */
import { describe, expect, it } from "vitest";
import { type CutoverKind, type CutoverState, cutoverStates, isFinished, movesFrom, sidesOf } from "../../../core/cutover/states.js";
import type { CutoverOutcome, CutoverPoint } from "../../../services/cutover/parts.js";
import { runCutover, settleLeft } from "../../../services/cutover/run-cutover.js";
import { markerId } from "../../../core/vocabulary/ids.js";
import { cutoverSteps as steps } from "../../support/cutover-steps.js";
import { FakeProcess, World } from "./world.js";

const never = new AbortController().signal;
const nothing = (): Promise<void> => Promise.resolve();
const points = [...steps, "undoing" as const].flatMap((step): readonly CutoverPoint[] => [`${step}.before`, `${step}.after`]);
const kinds: readonly CutoverKind[] = ["cutover", "rehearsal", "rollback"];
const isReal = (kind: CutoverKind): boolean => kind !== "rehearsal";

/** As it is before a cutover of the kind: a rollback begins where a cutover has ended. */
function worldBefore(kind: CutoverKind): World {
  const world = new World();
  if (kind !== "rollback") return world;
  world.route = { side: "target", version: 2 };
  world.wasSwitched = true;
  world.wayBack = "proven";
  world.fences.source = { marker: markerId("of the cutover"), kept: true, untilMs: 0 };
  return world;
}

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
  const { from, to } = sidesOf(world.record?.kind ?? "cutover");
  const side = world.record?.state === "done" ? to : from;
  expect({ route: world.route.side, source: world.isSourceWritable(), target: world.isTargetWritable() }, where).toEqual({
    route: side,
    source: side === "source",
    target: side === "target",
  });
  if (world.record?.state === "done") expect(world.fences[from]?.kept, where).toBe(true);
  const hasWayBack = world.record?.kind === "rollback" || world.record?.state === "done";
  expect(world.wayBack === "proven", `${where}: the way back is ${world.wayBack}`).toBe(hasWayBack);
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
    const world = worldBefore(kind);
    const outcome = await run(new FakeProcess(world), kind);
    expect(outcome.kind).toBe(isReal(kind) ? "switched" : "rehearsed");
    judge(world, kind);
  });

  it.each(kinds.flatMap((kind) => points.map((point) => [kind, point] as const)))(
    "%s killed at %s is settled by the next process",
    async (kind, point) => {
      const world = worldBefore(kind);
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
      if (point.startsWith("undoing") && isReal(kind)) world.trouble = { step: "checking", what: { kind: "failure" } };
      await run(process, kind).catch(() => null);
      expect(world.faults).toEqual([]);
      if (!died) return;
      const outcome = await successor(world);
      judge(world, `${kind} ${point}`);
      const isBehind = isReal(kind) && ["switching.after", "switched.before", "switched.after"].includes(point);
      expect(outcome?.kind).toBe(isBehind ? "switched" : "undone");
      // Whoever comes then can do it all.
      const next = kind === "rollback" ? "rollback" : "cutover";
      if (!isBehind) expect((await run(new FakeProcess(world), next)).kind).toBe("switched");
      judge(world, "the run after");
    },
  );

  it.each(kinds.flatMap((kind) => points.map((point) => [kind, point] as const)))(
    "%s stopped at %s, replaced and continued, changes nothing of what its successor did",
    async (kind, point) => {
      const world = worldBefore(kind);
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
      if (point.startsWith("undoing") && isReal(kind)) world.trouble = { step: "checking", what: { kind: "failure" } };
      const running = run(zombie, kind).catch((thrown: unknown) => thrown);
      await Promise.race([reached.promise, running]);
      if (zombie.stopped === null) return;
      await successor(world);
      judge(world, `${kind} ${point}, replaced`);
      // The world goes on: whatever the zombie takes back or opens then would be another's.
      if (kind === "rollback") {
        const onward = world.route.side === "source" ? "cutover" : "rollback";
        expect((await run(new FakeProcess(world), onward)).kind).toBe("switched");
      }
      const told = { side: world.route.side, state: world.record?.state };
      goOn.resolve();
      await running;
      expect(world.faults).toEqual([]);
      expect({ side: world.route.side, state: world.record?.state }).toEqual(told);
      // At worst it has put up a fence for the time of one lease, and opened a way back that nobody needs: the next one finds it open.
      await world.clock.delay(10_000, never);
      if (kind !== "rollback" && point.startsWith("opening") && !isFinishedAs(world, "done")) world.wayBack = "closed";
      judge(world, `${kind} ${point}, continued`);
    },
  );

  it.each(kinds.flatMap((kind) => steps.flatMap((step) => (["failure", "hang"] as const).map((what) => [kind, step, what] as const))))(
    "%s meets at %s a %s, and goes back or stands",
    async (kind, step, what) => {
      const hasSignal = ["preparing", "opening", "fencing", "draining", "checking", "readying"].includes(step);
      // Short statements that PostgreSQL or SQLite limit themselves.
      if (what === "hang" && (!hasSignal || step === "preparing" || step === "opening")) return;
      const world = worldBefore(kind);
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

  it.each(points)(
    "a source that takes nothing before it is fenced off: killed at %s, it is settled, and switched only with a way back",
    async (point) => {
      const world = new World();
      world.landsBehind = true;
      const process = new FakeProcess(world);
      process.at = (passing) => {
        process.dead ||= passing === point;
        return Promise.resolve();
      };
      if (point.startsWith("undoing")) world.trouble = { step: "checking", what: { kind: "failure" } };
      await run(process, "cutover").catch(() => null);
      expect(world.faults).toEqual([]);
      const outcome = process.dead ? await successor(world) : null;
      judge(world, point);
      if (outcome?.kind === "undone") expect((await run(new FakeProcess(world), "cutover")).kind).toBe("switched");
      judge(world, `the run after ${point}`);
    },
  );

  it.each(["failure", "hang"] as const)("a canary that does not land (%s) takes everything back", async (what) => {
    const world = new World();
    world.landsBehind = true;
    const process = new FakeProcess(world);
    process.at = (passing) => {
      // Behind the act of keeping itself, which comes first.
      if (passing === "readying.after") world.landing = what;
      return Promise.resolve();
    };
    const outcome = await runCutover(process.parts({ pauseMs: 300 }), "cutover", nothing, never);
    expect(outcome.kind).toBe("undone");
    judge(world, what);
  });

  it("goes forth and back as often as wanted", async () => {
    const world = new World();
    for (const kind of ["cutover", "rollback", "cutover", "rollback", "cutover"] as const) {
      expect((await run(new FakeProcess(world), kind)).kind).toBe("switched");
      judge(world, kind);
    }
  });

  it("a rollback does not begin where the source is written, nor a cutover where the target is", async () => {
    for (const [world, kind] of [
      [new World(), "rollback"],
      [worldBefore("rollback"), "cutover"],
    ] as const) {
      await expect(run(new FakeProcess(world), kind)).rejects.toMatchObject({ code: "cutover.refused" });
      expect(world.record).toBeNull();
    }
  });

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
