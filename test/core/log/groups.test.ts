/** Two groups on one log: whatever a writer's crash has left of a cut, and whichever group is behind, nothing is lost, doubled or asked for again. */
import { setImmediate } from "node:timers/promises";
import fc from "fast-check";
import { expect, it } from "vitest";
import type { AppliedCut, AppliedView, LogSession } from "../../../core/contracts/log.js";
import { appliedView, leastEnds } from "../../../core/log/applied-view.js";
import { cutsTopic } from "../../../core/topics.js";
import { offset, type Topic } from "../../../core/vocabulary/ids.js";
import { formatPosition } from "../../../core/vocabulary/position.js";
import { type AppendFate, fates, type PartitionFate } from "../../support/memory-log-store.js";
import { until } from "../../support/oracles/until.js";
import { append, at, LogContext, look, prefix, signal } from "./log-context.js";

type Kind = "a" | "b" | "chunk";
const groupNames = ["a", "b"] as const;
type GroupName = (typeof groupNames)[number];
const isOf = (group: GroupName, kind: Kind): boolean => (group === "b") === (kind === "b");

/** One sink loop: applies what comes until it is stopped, and knows what it has applied. */
class Sink {
  applied: AppliedCut | null = null;
  readonly rows: string[] = [];
  #stop: AbortController | null = null;
  #running: Promise<void> = Promise.resolve();
  error: unknown = null;

  constructor(
    private readonly context: LogContext,
    private readonly name: GroupName,
  ) {}

  start(): void {
    if (this.#stop !== null) return;
    this.#stop = new AbortController();
    this.#running = this.#run(this.#stop.signal);
  }

  async stop(): Promise<void> {
    this.#stop?.abort();
    await this.#running;
    this.#stop = null;
  }

  async #run(stop: AbortSignal): Promise<void> {
    try {
      await using reader = this.context.readerOf(this.name);
      for await (const window of reader.windows(this.applied, stop)) {
        const { rows } = await look(window);
        if (stop.aborted) return;
        this.rows.push(...rows);
        this.applied = window.after();
      }
    } catch (thrown) {
      if (!stop.aborted) this.error = thrown;
    }
  }
}

/** The capture log: rows by their number; what lies below `pruned` is gone. */
class Pipeline {
  readonly context = new LogContext();
  readonly sinks = { a: new Sink(this.context, "a"), b: new Sink(this.context, "b") };
  readonly rows: Kind[] = [];
  pruned = 0;
  acknowledged = 0;
  #session: LogSession | null = null;
  #sent = 0;

  constructor() {
    this.context.published = () => this.view();
  }

  view(): AppliedView {
    const cuts = groupNames.map((name) => this.sinks[name].applied);
    return appliedView(
      cuts.filter((cut) => cut !== null),
      cuts.includes(null),
    );
  }

  /** Sends what was committed since; an append that goes wrong ends the session. */
  async send(fate: AppendFate): Promise<void> {
    const session = (this.#session ??= await this.#open());
    if (this.#sent === this.rows.length) return;
    const rows = this.rows.slice(this.#sent).map((kind, i): readonly [Kind, ReturnType<typeof at>] => [kind, at(this.#sent + i + 1)]);
    this.context.log.onAppend = () => fate;
    try {
      await append(session, { to: at(this.rows.length), rows, streaming: true });
      this.#sent = this.rows.length;
      this.acknowledged = this.#sent;
    } catch {
      await session[Symbol.asyncDispose]();
      this.#session = null;
    } finally {
      this.context.log.onAppend = () => fates.stored;
    }
  }

  async #open(): Promise<LogSession> {
    const session = await this.context.session();
    const from = session.beginning.resume?.position.order ?? 0;
    if (from + 1 < this.pruned) throw new Error(`the log goes on at ${from}, and rows below ${this.pruned} are gone`);
    this.#sent = from;
    // What a session goes on behind is whole.
    this.acknowledged = Math.max(this.acknowledged, from);
    return session;
  }

  /** The sink applies all that the log has acknowledged. */
  async caughtUp(name: GroupName): Promise<void> {
    const sink = this.sinks[name];
    sink.start();
    await until(
      async () => (sink.applied?.position.order ?? 0) >= this.acknowledged || sink.error !== null,
      30_000,
      () => `${name} is not at ${this.acknowledged}: ${JSON.stringify(this.view())}`,
    );
    if (sink.error !== null) throw sink.error;
  }

  /** As the source's housekeeping does it. */
  async forget(): Promise<void> {
    const { least, all } = this.view();
    if (least === null) return;
    this.pruned = Math.max(this.pruned, least.position.order);
    if (this.#session === null || all.some(({ epoch }) => epoch !== this.#session?.epoch)) return;
    const cuts = cutsTopic(prefix);
    const below = new Map([...leastEnds(all), [cuts, [least.offset]] as const]);
    await this.context.log.store().trim(below, new Map([[cuts, [offset(0), this.#session.startOffset]]]));
  }

  async end(): Promise<void> {
    for (const name of groupNames) await this.sinks[name].stop();
    await this.#session?.[Symbol.asyncDispose]();
  }
}

type Step =
  | { readonly kind: "write"; readonly rows: readonly Kind[]; readonly fate: readonly PartitionFate[] | null }
  | { readonly kind: "late" | "forget" | "turns" }
  | { readonly kind: "stop" | "catch-up"; readonly group: GroupName };

const kind = fc.constantFrom<Kind>("a", "b", "chunk");
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constant("write" as const),
    rows: fc.array(kind, { minLength: 1, maxLength: 4 }),
    fate: fc.option(fc.array(fc.constantFrom<PartitionFate>("stored", "lost", "late"), { minLength: 4, maxLength: 4 }), { freq: 2 }),
  }),
  fc.record({ kind: fc.constantFrom("late" as const, "forget" as const, "turns" as const) }),
  fc.record({
    kind: fc.constantFrom("stop" as const, "catch-up" as const, "catch-up" as const),
    group: fc.constantFrom(...groupNames),
  }),
);

/** By topic: `.cuts`, `a`, `b`, `.snapshot`. */
function fateOf(given: readonly PartitionFate[] | null): AppendFate {
  if (given === null) return fates.stored;
  const index = (topic: Topic): number => ["cuts", "a", "b", "snapshot"].findIndex((name) => topic === `${prefix}.${name}`);
  return { partition: (topic) => given[index(topic)] ?? "stored", answerLost: true };
}

async function carryOut(pipeline: Pipeline, one: Step): Promise<void> {
  switch (one.kind) {
    case "write":
      pipeline.rows.push(...one.rows);
      return await pipeline.send(fateOf(one.fate));
    case "late":
      return void pipeline.context.log.deliverLate();
    case "forget":
      return await pipeline.forget();
    case "turns":
      // Whoever runs has time to apply a cut that its writer never knew to be stored.
      for (let i = 0; i < 50; i++) await setImmediate();
      return;
    case "stop":
      return await pipeline.sinks[one.group].stop();
    case "catch-up":
      return await pipeline.caughtUp(one.group);
    default:
      return;
  }
}

const stored = (...rows: readonly Kind[]): Step => ({ kind: "write", rows, fate: null });
const bothAtTheEnd: readonly Step[] = [stored("a", "b", "chunk"), { kind: "catch-up", group: "a" }, { kind: "catch-up", group: "b" }];
/** What breaks when the greatest stands in the place of the least. */
const known: readonly (readonly Step[])[] = [
  // A cut that is whole for one group and not for the other.
  [...bothAtTheEnd, { kind: "write", rows: ["a", "b"], fate: ["stored", "stored", "lost", "stored"] }, { kind: "turns" }, stored("a")],
  // A group that stands still while the log is shortened.
  [...bothAtTheEnd, { kind: "stop", group: "b" }, stored("b", "a", "chunk"), { kind: "catch-up", group: "a" }, { kind: "forget" }],
];

it("each group gets every row of its tables once, and the writer never asks for what the least of them has applied", async () => {
  const property = fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
    const pipeline = new Pipeline();
    await pipeline.context.ensure();
    try {
      // A sink waits for a log that nobody has begun.
      await pipeline.send(fates.stored);
      for (const one of steps) await carryOut(pipeline, one);
      pipeline.context.log.deliverAllLate();
      pipeline.rows.push("a", "b");
      // Late records shift offsets: a session that meets them dies, and the next one goes on.
      for (let i = 0; i < 10 && pipeline.acknowledged < pipeline.rows.length; i++) await pipeline.send(fates.stored);
      expect(pipeline.acknowledged).toBe(pipeline.rows.length);
      for (const name of groupNames) {
        await pipeline.caughtUp(name);
        const { rows } = pipeline.sinks[name];
        const wanted = pipeline.rows.flatMap((of, i) => (isOf(name, of) ? [`${of}@${formatPosition(at(i + 1))}`] : []));
        expect([...rows].sort()).toEqual([...wanted].sort());
      }
    } finally {
      await pipeline.end();
    }
  });
  await fc.assert(property, {
    examples: known.map((steps) => [[...steps]] as [Step[]]),
    numRuns: process.env["TAILRACE_TEST_LONG"] === undefined ? 150 : 5_000,
  });
  expect(signal.aborted).toBe(false);
});
