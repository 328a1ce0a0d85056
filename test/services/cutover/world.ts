/**
 * A world for the cutover's state machine: fakes of our own contracts over one shared state, virtual time, processes that die or are stopped. After each
 * change the world looks whether two sides can be written, which must never be.
 */
import type {
  CutoverDesk,
  CutoverRecord,
  CutoverSession,
  CutoverStepRecord,
  FenceState,
  RouteState,
  SourceFence,
  WayBack,
} from "../../../core/contracts/cutover.js";
import { type CutoverSide, type CutoverState, isFinished, isLegalMove, sidesOf } from "../../../core/cutover/states.js";
import { TailraceError } from "../../../core/errors.js";
import { type MarkerId, markerId, theGroup } from "../../../core/vocabulary/ids.js";
import { position } from "../../../core/vocabulary/position.js";
import { type CutoverParts, type CutoverPoint, defaultLimits } from "../../../services/cutover/parts.js";
import { VirtualClock } from "./virtual-clock.js";

type Trouble = { readonly kind: "failure" } | { readonly kind: "hang" } | { readonly kind: "reply lost"; readonly made: boolean };

interface Fence {
  readonly marker: MarkerId;
  kept: boolean;
  untilMs: number;
}

export class World {
  readonly clock = new VirtualClock();
  readonly faults: string[] = [];
  readonly fences: Record<CutoverSide, Fence | null> = { source: null, target: null };
  route: RouteState = { side: "source", version: 0 };
  record: (CutoverRecord & { token: number }) | null = null;
  steps: CutoverStepRecord[] = [];
  wasSwitched = false;
  holder: FakeProcess | null = null;
  /** What happens at the act of a step, once. */
  trouble: { step: CutoverState; what: Trouble } | null = null;
  postgresUpAtMs = 0;
  wayBack: "closed" | "open" | "proven" = "closed";
  /** The source takes nothing before it is fenced off for good: a canary ends its way there. */
  landsBehind = false;
  landing: "failure" | "hang" | null = null;
  ids = 0;

  isOpen(side: CutoverSide): boolean {
    const fence = this.fences[side];
    return fence === null || (!fence.kept && fence.untilMs <= this.clock.wallMs());
  }
  isSourceWritable(): boolean {
    return this.isOpen("source");
  }
  /** Nobody knows of it before the first switch; from then on only its fence keeps applications out. */
  isTargetWritable(): boolean {
    return this.route.side === "target" || (this.wasSwitched && this.isOpen("target"));
  }
  changed(what: string): void {
    if (this.route.side === "target") this.wasSwitched = true;
    if (this.isSourceWritable() && this.isTargetWritable()) this.faults.push(`two writable sides after ${what}`);
    if (this.isTargetWritable() && this.wayBack !== "proven") this.faults.push(`no way back after ${what}`);
  }
  hit(step: CutoverState): Trouble | null {
    if (this.trouble?.step !== step) return null;
    const { what } = this.trouble;
    this.trouble = null;
    return what;
  }
}

/** One process of the tool. Dead or stopped, it does nothing. */
export class FakeProcess {
  dead = false;
  stopped: Promise<void> | null = null;
  at: (point: CutoverPoint) => Promise<void> = () => Promise.resolve();

  constructor(readonly world: World) {}

  async alive(): Promise<void> {
    await this.stopped;
    if (this.dead) throw new TailraceError("internal", { what: "this process is dead" });
  }

  async trouble(step: CutoverState, signal?: AbortSignal): Promise<void> {
    const what = this.world.hit(step);
    if (what?.kind === "failure") throw new TailraceError("target.refused", { what: `made to fail at ${step}` });
    if (what?.kind === "hang") await this.world.clock.delay(10_000_000, signal ?? new AbortController().signal);
  }

  parts(limits: Partial<CutoverParts["limits"]> = {}): CutoverParts {
    const { world } = this;
    return {
      group: theGroup,
      clock: world.clock,
      holder: `process ${++world.ids}`,
      fence: fakeFence(this, "source"),
      numbers: { given: () => [], [Symbol.dispose]: () => {} },
      desk: fakeDesk(this),
      check: {
        advance: async (signal) => {
          await this.alive();
          signal.throwIfAborted();
          return 0;
        },
        cost: () => Promise.resolve({ dirtyRows: 0, dirtyChunks: 0, oldestProofMs: 0 }),
        check: async (_at, signal) => {
          await this.alive();
          await this.trouble("checking", signal);
          return { equal: true, rowsRead: 0, different: 0 };
        },
      },
      back: {
        fence: fakeFence(this, "target"),
        check: {
          advance: () => Promise.resolve(0),
          cost: () => Promise.resolve({ dirtyRows: 0, dirtyChunks: 0, oldestProofMs: 0 }),
          check: async (_at, signal) => {
            await this.alive();
            await this.trouble("checking", signal);
            return { equal: true, rowsRead: 0, different: 0 };
          },
        },
        passed: (session) => session.passed(),
        forget: () => Promise.resolve([]),
        arrive: async (session) => {
          const marker = world.fences.source?.marker ?? null;
          await session.given();
          await this.alive();
          if (marker !== null && world.fences.source?.marker === marker) world.fences.source = null;
          world.changed("arrival");
        },
      },
      hooks: {
        tell: async () => {
          await this.alive();
        },
      },
      wayBack: fakeWayBack(this),
      newMarker: () => markerId(`marker ${++world.ids}`),
      limits: { ...defaultLimits, ...limits },
      tell: () => {},
      at: async (point) => {
        await this.alive();
        await this.at(point);
        await this.alive();
      },
    };
  }
}

function fakeWayBack(process: FakeProcess): WayBack {
  const { world } = process;
  return {
    obstacles: () => Promise.resolve([]),
    isOpen: () => Promise.resolve(true),
    open: async (_group, signal) => {
      await process.alive();
      await process.trouble("opening", signal);
      if (world.wayBack === "closed") world.wayBack = "open";
      return position(1, 8);
    },
    prove: async (_group, _canary, signal) => {
      await process.alive();
      await process.trouble("opening", signal);
      signal.throwIfAborted();
      if (!world.landsBehind) world.wayBack = "proven";
    },
    land: async (_group, _canary, signal) => {
      await process.alive();
      if (world.landing === "failure") throw new TailraceError("cutover.no-way-back", { what: "made to fail" });
      if (world.landing === "hang") await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      signal.throwIfAborted();
      if (world.fences.source?.kept !== true) world.faults.push("a canary landed in a source that applications may have");
      world.wayBack = "proven";
    },
    close: async () => {
      await process.alive();
      world.wayBack = "closed";
      world.changed("closing the way back");
      return [];
    },
  };
}

const lost = (what: string): TailraceError => new TailraceError("cutover.fence-lost", { what });

function fakeFence(process: FakeProcess, side: CutoverSide): SourceFence {
  const { world } = process;
  const at = position(0, 7);
  const whole = (marker: MarkerId) => {
    const fence = world.fences[side];
    if (fence === null || fence.marker !== marker || world.isOpen(side)) throw lost("not there");
    return fence;
  };
  const leased = (marker: MarkerId) => ({ kind: "leased", marker, at, untilMs: 0 }) as const;
  return {
    prove: () => Promise.resolve(),
    fence: async (_group, marker, limits, signal) => {
      await process.alive();
      await process.trouble("fencing", signal);
      if (!world.isOpen(side) && world.fences[side]?.marker !== marker) throw new TailraceError("cutover.fence-taken", { what: "taken" });
      world.fences[side] = { marker, kept: false, untilMs: world.clock.wallMs() + limits.leaseMs };
      return leased(marker);
    },
    renew: async (_group, marker, leaseMs) => {
      await process.alive();
      whole(marker).untilMs = world.clock.wallMs() + leaseMs;
      return leased(marker);
    },
    keep: async (_group, marker) => {
      await process.alive();
      await process.trouble("keeping");
      whole(marker).kept = true;
      return { kind: "kept", marker, at };
    },
    release: async (_group, marker) => {
      await process.alive();
      await process.trouble("undoing");
      if (world.fences[side]?.marker === marker) world.fences[side] = null;
      world.changed("release");
    },
    state: (): Promise<FenceState> => Promise.resolve({ kind: "open" }),
    [Symbol.dispose]: () => {},
  };
}

function fakeDesk(process: FakeProcess): CutoverDesk {
  const { world } = process;
  const up = async (): Promise<void> => {
    await process.alive();
    if (world.clock.wallMs() < world.postgresUpAtMs) throw new TailraceError("target.unavailable", { what: "PostgreSQL is away" });
  };
  return {
    last: async () => {
      await up();
      return world.record === null ? null : { ...world.record, steps: world.steps };
    },
    route: async () => {
      await up();
      return world.route;
    },
    facts: () => Promise.reject(new Error("nobody asks")),
    readyPlan: () => Promise.resolve({ before: [], behind: [], after: [] }),
    returnPlan: () => Promise.resolve({ before: [], behind: [], after: [] }),
    askToAbort: () => Promise.resolve(false),
    take: async (_group, holder) => {
      await up();
      if (world.holder !== null && world.holder !== process && !world.holder.dead && world.holder.stopped === null)
        throw new TailraceError("cutover.held", { what: "held" });
      world.holder = process;
      if (world.record !== null && world.record.finishedAt === null)
        world.record = { ...world.record, token: world.record.token + 1, holder };
      return fakeSession(process, up);
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

function fakeSession(process: FakeProcess, up: () => Promise<void>): CutoverSession {
  const { world } = process;
  let mine = world.record !== null && world.record.finishedAt === null ? { ...world.record } : null;
  const own = async () => {
    await up();
    if (mine === null || world.record?.token !== mine.token || world.record.id !== mine.id)
      throw new TailraceError("cutover.taken-over", { what: "taken over" });
    return mine;
  };
  const moveRoute = (from: RouteState, side: RouteState["side"]): RouteState => {
    if (world.route.version !== from.version) throw new TailraceError("cutover.route-moved", { what: "moved" });
    world.route = { side, version: from.version + 1 };
    world.changed(`route to ${side}`);
    return world.route;
  };
  const store = (to: CutoverState): void => {
    if (mine === null || !isLegalMove(mine.state, to, mine.kind)) throw new Error(`illegal: ${mine?.state ?? "none"} to ${to}`);
    const finishedAt = isFinished(to) ? "now" : null;
    world.record = { ...mine, state: to, finishedAt };
    mine = finishedAt === null ? { ...world.record } : null;
  };
  return {
    get record() {
      return mine;
    },
    board: {
      route: async () => {
        await up();
        return world.route;
      },
      pause: async (_group, from) => {
        await own();
        await process.trouble("pausing");
        return moveRoute(from, "paused");
      },
      reopen: async (_group, from) => {
        await own();
        return moveRoute(from, sidesOf(mine?.kind ?? "cutover").from);
      },
      begin: async (_group, _side, _numbers, signal) => {
        await own();
        await process.trouble("readying", signal);
        return {
          did: [],
          commit: async (from) => {
            const record = await own();
            const what = world.hit("switching");
            if (what?.kind === "failure") throw new TailraceError("target.refused", { what: "made to fail at the switch" });
            if (what?.kind !== "reply lost" || what.made) {
              const { to } = sidesOf(record.kind);
              // The target's fence is lifted in the switch's own transaction.
              if (to === "target") world.fences.target = null;
              moveRoute(from, to);
              store("switched");
            }
            if (what?.kind === "reply lost") {
              mine = { ...record, state: "switching" };
              world.postgresUpAtMs = world.clock.wallMs() + 3_000;
              throw new TailraceError("target.undecided", { what: "lost" });
            }
            return world.route;
          },
          [Symbol.asyncDispose]: () => Promise.resolve(),
        };
      },
    },
    begin: async ({ kind, marker, pauseLimitMs }) => {
      await up();
      const common = { holder: "h", heldSince: "", position: null, pauseMs: null, abortAsked: false, error: null, startedAt: "" };
      mine = { ...common, id: ++world.ids, token: 1, kind, marker, pauseLimitMs, state: "preparing", finishedAt: null };
      world.record = { ...mine };
      return mine;
    },
    move: async (to) => {
      const record = await own();
      store(to);
      return world.record ?? record;
    },
    abortAsked: async () => {
      await up();
      return false;
    },
    passed: async () => {
      await up();
      await process.alive();
      if (world.trouble?.step === "draining" && world.trouble.what.kind === "hang") return null;
      await process.trouble("draining");
      return { position: position(0, 7), marker: null, settled: true };
    },
    prepare: async (_numbers, signal) => {
      await own();
      await process.trouble("preparing", signal);
      return [];
    },
    given: async () => {
      await own();
      return [];
    },
    unprepare: async () => {
      await up();
      return [];
    },
    validate: async () => {
      await up();
      await process.trouble("switched");
      return [];
    },
    [Symbol.asyncDispose]: async () => {
      // What a dead process held is free; a live one gives it back.
      if (world.holder === process && process.stopped === null) world.holder = null;
    },
  };
}
