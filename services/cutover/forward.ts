/**
 * The way forward, from preparing to the switch; a rollback's as well, whose sides are exchanged (`wayOf`). Promises: each state is stored before anything of it is done; nothing but the switch itself cannot be
 * taken back; the fence is kept only when a transaction is open in which everything else has succeeded. Whatever is thrown here, settle.ts undoes.
 */
import type { CutoverRecord, CutoverSession, Leased, MoveDetails, OpenSwitch, RouteState } from "../../core/contracts/cutover.js";
import type { Passed } from "../../core/contracts/target.js";
import type { CutoverKind, CutoverState } from "../../core/cutover/states.js";
import { TailraceError } from "../../core/errors.js";
import { timeLimit } from "../../core/time-limit.js";
import type { MarkerId } from "../../core/vocabulary/ids.js";
import { comparePositions, formatPosition, type Position } from "../../core/vocabulary/position.js";
import { type CutoverParts, wayOf } from "./parts.js";
import { Guard } from "./guard.js";

const drainPollMs = 2;
const advanceMost = 5;
const advanceEnough = 200;

/** When writes began to wait; null: they never did. */
export interface PauseClock {
  startedMs: number | null;
}

export class Forward {
  #details: MoveDetails = {};
  #way: ReturnType<typeof wayOf>;
  /** On its way back since the way back was opened. */
  #canary: MarkerId | null = null;

  constructor(
    private readonly parts: CutoverParts,
    private readonly session: CutoverSession,
    private readonly pause: PauseClock,
  ) {
    this.#way = wayOf(parts, "cutover");
  }

  /** Resolves when switched; a rehearsal resolves when there is nothing left to try. */
  async run(kind: CutoverKind, signal: AbortSignal): Promise<void> {
    const { parts, session } = this;
    this.#way = wayOf(parts, kind);
    await this.#refuseArrived(signal);
    const record = await session.begin({ kind, marker: parts.newMarker(), pauseLimitMs: parts.limits.pauseMs });
    await this.#act("preparing", () => this.#prepare(signal));
    await this.#step("opening", () => (kind === "rollback" ? this.#prove(signal) : this.#open(signal)));
    await using guard = new Guard(parts, session, { marker: record.marker, fence: this.#way.fence });
    await guard.explaining(() => this.#behind(guard, record, signal));
  }

  /** Nothing is begun where there is nothing to do: what were found then could be undone by nobody. */
  async #refuseArrived(signal: AbortSignal): Promise<void> {
    const { group } = this.parts;
    const { side } = await this.session.board.route(group, signal);
    if (side !== this.#way.to) return;
    throw new TailraceError("cutover.refused", { what: `Applications write to the ${side} already`, where: { group } });
  }

  /** Writes wait. */
  async #behind(guard: Guard, { kind, marker }: CutoverRecord, signal: AbortSignal): Promise<void> {
    const paused = await this.#step("pausing", () => this.#pause(guard, signal));
    const leased = await this.#step("fencing", () => this.#fence(marker, guard));
    guard.renewing();
    await this.#step("draining", () => this.#drain(leased, guard.signal), { position: leased.at });
    await this.#step("checking", () => this.#check(leased.at, guard.signal));
    await using open = await this.#step("readying", () => this.#ready(guard.signal));
    if (kind === "rehearsal") return;
    await guard.stop();
    await this.#step("keeping", () => this.#keep(marker));
    await this.#step("switching", () => open.commit(paused));
  }

  async #prepare(signal: AbortSignal): Promise<void> {
    const { parts, session } = this;
    using limit = timeLimit(signal, parts.limits.prepareMs);
    const built = await session.prepare(parts.numbers.given(), limit.signal);
    let rowsRead = 0;
    // Each time less has changed since; what changes while the last few are read is left for the fence.
    for (let round = 0, rows = Number.POSITIVE_INFINITY; round < advanceMost && rows > advanceEnough; round++) {
      rows = await this.#way.check.advance(limit.signal);
      rowsRead += rows;
    }
    this.#ends({ built: built.length, rowsRead });
  }

  /** Whatever the application writes at the target will be carried back; seen with one row before anything depends on it. */
  async #open(signal: AbortSignal): Promise<void> {
    const { wayBack, group, limits, newMarker, clock } = this.parts;
    if (wayBack === null) {
      this.#ends({ wayBack: "none" });
      return;
    }
    const begins = await wayBack.open(group, signal);
    const beganMs = clock.monotonicMs();
    using limit = timeLimit(signal, limits.canaryMs);
    this.#canary = newMarker();
    await wayBack.prove(group, this.#canary, limit.signal);
    this.#ends({ begins: formatPosition(begins), canaryMs: Math.round(clock.monotonicMs() - beganMs) });
  }

  /** What is to come back has a way that is open: seen with one row, before any write waits for it. */
  async #prove(signal: AbortSignal): Promise<void> {
    const { wayBack, group, limits, newMarker, clock } = this.parts;
    if (wayBack === null) throw new TailraceError("cutover.no-way-back", { what: "The cutover was made without a way back" });
    const beganMs = clock.monotonicMs();
    using limit = timeLimit(signal, limits.canaryMs);
    await wayBack.prove(group, newMarker(), limit.signal);
    this.#ends({ canaryMs: Math.round(clock.monotonicMs() - beganMs) });
  }

  /** Applications that follow the route hold their writes from here on; those that do not meet the fence. */
  async #pause(guard: Guard, signal: AbortSignal): Promise<RouteState> {
    const { parts, session } = this;
    const route = await session.board.route(parts.group, signal);
    if (route.side !== this.#way.from) {
      throw new TailraceError("cutover.route-moved", {
        what: `The route is '${route.side}', not the ${this.#way.from}`,
        where: { group: parts.group },
      });
    }
    this.pause.startedMs = parts.clock.monotonicMs();
    guard.begin(signal);
    const paused = await session.board.pause(parts.group, route, guard.signal);
    await parts.hooks.tell(paused, guard.signal);
    return paused;
  }

  async #fence(marker: Leased["marker"], guard: Guard): Promise<Leased> {
    const { group, limits } = this.parts;
    const leased = await this.#way.fence.fence(group, marker, { waitMs: limits.fenceWaitMs, leaseMs: limits.leaseMs }, guard.signal);
    this.#ends({ position: formatPosition(leased.at) });
    return leased;
  }

  async #drain(leased: Leased, signal: AbortSignal): Promise<void> {
    const { clock, tell } = this.parts;
    for (;;) {
      const passed = await this.#way.passed(this.session);
      if (isDrained(passed, leased)) return;
      tell({ kind: "lag", applied: passed === null ? "nothing" : formatPosition(passed.position), behind: behind(passed, leased.at) });
      await clock.delay(drainPollMs, signal);
    }
  }

  async #check(at: Position, signal: AbortSignal): Promise<void> {
    const { equal, rowsRead, different } = await this.#way.check.check(at, signal);
    this.#ends({ rowsRead, different });
    if (equal) return;
    throw new TailraceError("cutover.differ", {
      what: `${different} rows differ behind the fence`,
      where: { position: formatPosition(at) },
    });
  }

  async #ready(signal: AbortSignal): Promise<OpenSwitch> {
    const { parts, session } = this;
    const open = await session.board.begin(parts.group, this.#way.to, parts.numbers.given(), signal);
    this.#ends({ statements: open.did.length });
    return open;
  }

  /** Where the source could take nothing before, the way back is seen to end there now, while nothing is switched yet. */
  async #keep(marker: MarkerId): Promise<void> {
    const { group, wayBack, limits } = this.parts;
    await this.#way.fence.keep(group, marker);
    if (wayBack === null || this.#canary === null) return;
    using limit = timeLimit(new AbortController().signal, limits.pauseMs);
    await wayBack.land(group, this.#canary, limit.signal);
  }

  async #step<T>(to: CutoverState, act: () => Promise<T>, more: MoveDetails = {}): Promise<T> {
    const details = { ...this.#details, ...more };
    this.#details = {};
    await this.session.move(to, details);
    return await this.#act(to, act);
  }

  async #act<T>(step: CutoverState, act: () => Promise<T>): Promise<T> {
    const { clock, tell, at } = this.parts;
    const beganMs = clock.monotonicMs();
    tell({ kind: "begins", step, sinceMs: this.pause.startedMs === null ? null : beganMs - this.pause.startedMs });
    await at(`${step}.before`);
    const result = await act();
    tell({ kind: "ended", step, ms: clock.monotonicMs() - beganMs, said: this.#said() });
    await at(`${step}.after`);
    return result;
  }

  /** Stored with the step that is under way, when the next one is. */
  #ends(step: Readonly<Record<string, unknown>>): void {
    this.#details = { step };
  }

  #said(): string {
    return Object.entries(this.#details.step ?? {})
      .map(([name, value]) => `${name} ${String(value)}`)
      .join(", ");
  }
}

/** The marker's window is applied, and nothing is withheld. */
export function isDrained(passed: Passed | null, { at, marker }: Leased): boolean {
  if (passed === null) return false;
  if (passed.marker === marker) return passed.settled;
  if (passed.position.history > at.history) {
    throw new TailraceError("cutover.past-replaced", {
      what: "The source got a new history behind the fence",
      where: { fence: formatPosition(at), applied: formatPosition(passed.position) },
    });
  }
  return passed.settled && comparePositions(passed.position, at) >= 0;
}

const behind = (passed: Passed | null, at: Position): number =>
  passed === null || passed.position.history !== at.history ? at.order : Math.max(0, at.order - passed.position.order);
