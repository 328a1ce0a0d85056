/** The way back as a cutover opens it: the file's end, the log, PostgreSQL's end, and a canary through all three. */
import type { Clock } from "../../core/clock.js";
import type { WayBack, WayBackDesk } from "../../core/contracts/cutover.js";
import type { LogStore } from "../../core/contracts/log-store.js";
import type { TargetPlan } from "../../core/contracts/plan.js";
import type { Target } from "../../core/contracts/target.js";
import { asTailraceError, isAbort, TailraceError } from "../../core/errors.js";
import { endOfCuts, markerInLog } from "../../core/log/marker-in-log.js";
import { topicSpecs } from "../../core/topics.js";
import type { GroupId, MarkerId } from "../../core/vocabulary/ids.js";
import type { Position } from "../../core/vocabulary/position.js";

export interface WayBackParts {
  readonly desk: WayBackDesk;
  /** The source, where changes come back to. */
  readonly home: Pick<Target, "preview" | "prepare" | "passed">;
  /** False while the application has the file for itself. */
  readonly isHomeOpen: () => boolean;
  /** Opened for as long as topics are made. */
  readonly withLog: <T>(work: (store: LogStore) => Promise<T>) => Promise<T>;
  /** Of the way back. */
  readonly prefix: string;
  readonly plan: TargetPlan;
  readonly clock: Clock;
}

const lookEveryMs = 20;
/** The file knows the newest marker alone, and somebody who compares both sides may have written another right behind ours. */
const looksPerMark = 50;

export class WayHome implements WayBack {
  constructor(private readonly parts: WayBackParts) {}

  async obstacles(group: GroupId, signal: AbortSignal): Promise<readonly string[]> {
    const { desk, home, plan } = this.parts;
    return [...(await desk.obstacles(group, signal)), ...(await refusalOf(() => home.preview(plan, signal)))];
  }

  isOpen(group: GroupId, signal: AbortSignal): Promise<boolean> {
    return this.parts.desk.isOpen(group, signal);
  }

  async open(group: GroupId, signal: AbortSignal): Promise<Position> {
    const { desk, home, withLog, prefix, plan } = this.parts;
    await home.prepare(plan, () => Promise.resolve(), signal);
    const topics = topicSpecs(
      prefix,
      plan.tables.map(({ source }) => source),
    );
    await withLog((store) => store.ensure(topics, signal));
    return await desk.open(group, signal);
  }

  async prove(group: GroupId, canary: MarkerId, signal: AbortSignal): Promise<void> {
    const { desk, isHomeOpen, withLog, prefix, clock } = this.parts;
    await explained(canary, signal, async () => {
      if (isHomeOpen()) {
        await desk.mark(group, canary, signal);
        return await this.#comesHome(group, canary, signal);
      }
      await withLog(async (store) => {
        const from = await endOfCuts(store, prefix, signal);
        await desk.mark(group, canary, signal);
        await markerInLog({ store, prefix, from, clock }, canary, signal);
      });
    });
  }

  async land(group: GroupId, canary: MarkerId, signal: AbortSignal): Promise<void> {
    await explained(canary, signal, () => this.#comesHome(group, canary, signal));
  }

  async #comesHome(group: GroupId, canary: MarkerId, signal: AbortSignal): Promise<void> {
    const { desk, home, clock } = this.parts;
    for (let looks = 1; (await home.passed(group, signal))?.marker !== canary; looks++) {
      if (looks % looksPerMark === 0) await desk.mark(group, canary, signal);
      await clock.delay(lookEveryMs, signal);
    }
  }

  close(group: GroupId, signal: AbortSignal): Promise<readonly string[]> {
    return this.parts.desk.close(group, signal);
  }
}

/** Whoever was told to stop says so; a time that has run out is ours to explain. */
async function explained(canary: MarkerId, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (thrown) {
    if (!isTimeout(signal.reason)) throw thrown;
    throw new TailraceError("cutover.no-way-back", { what: "The canary has not come home", where: { canary }, cause: thrown });
  }
}

async function refusalOf(look: () => Promise<unknown>): Promise<readonly string[]> {
  try {
    await look();
    return [];
  } catch (thrown) {
    const error = asTailraceError(thrown);
    if (isAbort(thrown) || error.verdict !== "stop" || error.code === "internal") throw thrown;
    return [error.message];
  }
}

const isTimeout = (reason: unknown): boolean => reason instanceof Error && reason.name === "TimeoutError";
