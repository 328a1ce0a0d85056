/**
 * A service that is one loop per table group, each supervised on its own: a group that stops leaves the others running. All end together when they are told
 * to, when none is left, or when one cannot be ended (`process.stuck`): then only a new process is as good as new.
 *
 * The first loop is there from the beginning and may not know its group yet; the others come as they are heard of. A pipeline with one group is that
 * group's loop and nothing else. A loop that has stopped is begun again when its group is named again, which is when the plan has changed.
 */
import { Backoff, type Clock } from "./clock.js";
import { disposeQuietly } from "./dispose.js";
import { asTailraceError, isAbort, type TailraceError } from "./errors.js";
import type { Service, ServiceName, ServiceState, ServiceStatus } from "./status.js";
import type { GroupId } from "./vocabulary/ids.js";
import { comparePositions, parsePosition } from "./vocabulary/position.js";

export interface GroupService extends Service, AsyncDisposable {
  /** null: not known yet. */
  readonly group: GroupId | null;
}
export interface NamedGroup {
  readonly id: GroupId;
  readonly name: string;
}
export interface GroupLoopsOptions {
  readonly name: ServiceName;
  readonly clock: Clock;
  readonly first: GroupService;
  readonly open: (group: GroupId) => Promise<GroupService>;
}

interface Loop {
  /** null: as its service says. */
  readonly group: GroupId | null;
  service: GroupService | null;
  error: TailraceError | null;
  running: Promise<void> | null;
}

export class GroupLoops implements Service, AsyncDisposable {
  readonly name: ServiceName;
  readonly #stop = new AbortController();
  readonly #loops: Loop[] = [];
  #names: ReadonlyMap<GroupId, string> = new Map();
  #signal: AbortSignal | null = null;
  #wake: () => void = () => {};

  constructor(private readonly options: GroupLoopsOptions) {
    this.name = options.name;
    this.#loops.push({ group: null, service: options.first, error: null, running: null });
  }

  /** All groups that there are: loops of those that have none begin. */
  heard(groups: readonly NamedGroup[]): void {
    this.#names = new Map(groups.map(({ id, name }) => [id, name]));
    if (this.#signal === null || this.#stop.signal.aborted) return;
    for (const { id } of groups) {
      const known = this.#loops.find(({ group, service }) => (service?.group ?? group) === id);
      if (known === undefined) this.#begin({ group: id, service: null, error: null, running: null });
      else if (known.running === null) this.#begin(known);
    }
    this.#wake();
  }

  async run(signal: AbortSignal): Promise<void> {
    this.#signal = AbortSignal.any([signal, this.#stop.signal]);
    for (const loop of [...this.#loops]) this.#begin(loop);
    for (;;) {
      const running = this.#loops.flatMap((loop) => loop.running ?? []);
      const stuck = this.#loops.find(({ error }) => error?.code === "process.stuck");
      if (running.length === 0 || stuck !== undefined) {
        this.#stop.abort();
        await Promise.all(running);
        const failed = stuck ?? this.#loops.find(({ error }) => error !== null);
        if (failed?.error !== undefined && failed.error !== null) throw failed.error;
        return;
      }
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  status(): ServiceStatus {
    const [first, ...others] = this.#loops.flatMap(({ service }) => (service === null || !this.#isThere(service) ? [] : [service]));
    if (first === undefined || others.length === 0) return (first ?? this.options.first).status();
    const all = [first, ...others].map((service) => ({ group: this.#nameOf(service), id: service.group, status: service.status() }));
    const worst = worstFirst.find((state) => all.some(({ status }) => status.state === state));
    const speaker = all.find(({ status }) => status.state === worst) ?? { group: "", status: first.status() };
    const { status, group } = speaker;
    return {
      ...status,
      why: status.why === null ? null : `group ${group}: ${status.why}`,
      position: leastOf(all.map((one) => one.status.position)),
      details: {
        ...status.details,
        groups: all.map((one) => {
          const { state, why, code, position, details } = one.status;
          return { group: one.group, id: one.id, state, why, code, position, details };
        }),
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    for (const { service, running } of this.#loops) {
      await running;
      await disposeQuietly(service);
    }
  }

  #begin(loop: Loop): void {
    const signal = this.#signal ?? this.#stop.signal;
    if (!this.#loops.includes(loop)) this.#loops.push(loop);
    loop.error = null;
    loop.running = this.#run(loop, signal)
      .catch((thrown: unknown) => {
        if (!(signal.aborted && isAbort(thrown))) loop.error = asTailraceError(thrown);
      })
      .finally(() => {
        loop.running = null;
        this.#wake();
      });
  }

  async #run(loop: Loop, signal: AbortSignal): Promise<void> {
    const { group } = loop;
    const backoff = new Backoff(200, 10_000);
    while (loop.service === null && group !== null) {
      try {
        loop.service = await this.options.open(group);
      } catch (thrown) {
        if (asTailraceError(thrown).verdict === "stop") throw thrown;
        await this.options.clock.delay(backoff.next(), signal);
      }
    }
    await loop.service?.run(signal);
  }

  /** A group that is gone ends with an error that nobody has to hear. */
  #isThere({ group }: GroupService): boolean {
    return group === null || this.#names.size === 0 || this.#names.has(group);
  }

  #nameOf({ group }: GroupService): string {
    return group === null ? "" : (this.#names.get(group) ?? String(group));
  }
}

/** One that stands by beside one that runs has nothing to do. */
const worstFirst: readonly ServiceState[] = ["stopped", "waiting", "starting", "paused", "running", "standing-by", "ended"];

function leastOf(positions: readonly (string | null)[]): string | null {
  const known = positions.filter((position) => position !== null);
  if (known.length < positions.length) return null;
  return known.reduce((least, one) => (comparePositions(parsePosition(one), parsePosition(least)) < 0 ? one : least));
}
