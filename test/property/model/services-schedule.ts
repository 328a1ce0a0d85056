/**
 * What happens to running services, as data: the application's transactions, requests, failing calls, deaths, stops, pauses, lost tails,
 * restored backups, lost triggers, widened and retired tables, and time. A run is a function of its schedule.
 */
import fc from "fast-check";
import { fates } from "../../support/memory-log-store.js";
import { type FailureKind, failureKinds, failureOf } from "../../support/simulation/failures.js";
import type { Statement } from "./database.js";
import { runOptions, statements } from "./schedule.js";
import { cuts, type Process, type Role, roles, ServicesWorld, type WorldOptions } from "./services-world.js";
import { counted } from "./codec.js";

export type ServiceOp =
  | { readonly op: "transaction"; readonly list: readonly Statement[] }
  | { readonly op: "mark"; readonly kind: "marker" | "touch" | "ask"; readonly table: "A" | "B"; readonly k: number }
  | { readonly op: "time"; readonly ms: number }
  /** One of the next calls of a process fails. */
  | { readonly op: "fail"; readonly role: Role; readonly after: number; readonly kind: FailureKind }
  /** The next request to the log: its answer is lost, and with it, or too late, its records. */
  | { readonly op: "request"; readonly fate: "answerLost" | "lost" | "late" }
  | { readonly op: "land"; readonly n: number }
  | { readonly op: "kill" | "stop"; readonly role: Role }
  | { readonly op: "pause"; readonly paused: boolean }
  | { readonly op: "lose"; readonly part: number; readonly n: number }
  | { readonly op: "backup" }
  | { readonly op: "restore"; readonly n: number }
  | { readonly op: "rebuild"; readonly table: "A" | "B" }
  | { readonly op: "heal" }
  | { readonly op: "retire" };
export interface ServicesSchedule {
  readonly options: WorldOptions;
  readonly ops: readonly ServiceOp[];
}

const role = fc.constantFrom<Role[]>("source", "sink");
const table = fc.constantFrom<("A" | "B")[]>("A", "B");
const few = fc.nat({ max: 3 });
const of = <const K extends ServiceOp["op"]>(op: K) => fc.constant(op);

const op: fc.Arbitrary<ServiceOp> = fc.oneof(
  { weight: 90, arbitrary: fc.record({ op: of("transaction"), list: statements }) },
  { weight: 90, arbitrary: fc.record({ op: of("time"), ms: fc.constantFrom(0, 0, 50, 400, 1_000, 3_000, 31_000) }) },
  {
    weight: 16,
    arbitrary: fc.record({
      op: of("mark"),
      kind: fc.constantFrom<("marker" | "touch" | "ask")[]>("marker", "touch", "ask"),
      table,
      k: fc.integer({ min: 1, max: 8 }),
    }),
  },
  { weight: 40, arbitrary: fc.record({ op: of("fail"), role, after: fc.nat({ max: 60 }), kind: fc.constantFrom(...failureKinds) }) },
  {
    weight: 25,
    arbitrary: fc.record({ op: of("request"), fate: fc.constantFrom<("answerLost" | "lost" | "late")[]>("answerLost", "lost", "late") }),
  },
  { weight: 12, arbitrary: fc.record({ op: of("land"), n: few }) },
  { weight: 12, arbitrary: fc.record({ op: of("kill"), role }) },
  { weight: 8, arbitrary: fc.record({ op: of("stop"), role }) },
  { weight: 10, arbitrary: fc.record({ op: of("pause"), paused: fc.boolean() }) },
  { weight: 5, arbitrary: fc.record({ op: of("lose"), part: fc.nat({ max: 4 }), n: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 6, arbitrary: fc.record({ op: of("backup") }) },
  { weight: 4, arbitrary: fc.record({ op: of("restore"), n: few }) },
  { weight: 4, arbitrary: fc.record({ op: of("rebuild"), table }) },
  { weight: 6, arbitrary: fc.record({ op: of("heal") }) },
  { weight: 1, arbitrary: fc.record({ op: of("retire") }) },
);

export const servicesSchedules: fc.Arbitrary<ServicesSchedule> = fc.record({
  options: fc
    .record({
      run: runOptions,
      narrow: fc.boolean(),
      retention: fc.constantFrom<WorldOptions["retention"][]>(
        { retain: "applied", maxBytes: 0 },
        { retain: "acknowledged", maxBytes: 0 },
        // The model counts a row as a byte.
        { retain: "acknowledged", maxBytes: 5 },
      ),
    })
    .map(({ run, narrow, retention }): WorldOptions => ({ ...run, narrow, retention })),
  ops: fc.array(op, { minLength: 5, maxLength: 50, size: "max" }),
});

/** null: nothing went wrong. */
export async function runServices({ options, ops }: ServicesSchedule, stats: Record<string, number> = {}): Promise<string | null> {
  const run = new ServicesRun(options);
  for (const op of ops) {
    if (run.world.failure !== null) break;
    stats[op.op] = (stats[op.op] ?? 0) + 1;
    await run.carryOut(op);
  }
  await run.settle();
  for (const code of run.world.stops) stats[`stopped: ${code}`] = (stats[`stopped: ${code}`] ?? 0) + 1;
  return run.world.failure;
}

class ServicesRun {
  readonly world: ServicesWorld;
  #fates: ("answerLost" | "lost" | "late")[] = [];

  constructor(options: WorldOptions) {
    this.world = new ServicesWorld(options);
    this.world.log.onAppend = () => fates[this.#fates.shift() ?? "stored"];
    for (const it of roles) this.world.start(it);
  }

  async carryOut(op: ServiceOp): Promise<void> {
    const { world } = this;
    const { database, log } = world;
    switch (op.op) {
      case "transaction":
        return database.transaction(op.list);
      case "mark":
        return this.#mark(op.kind, op.table, op.k);
      case "time":
        await world.run(op.ms);
        return this.#restartWhatStopped();
      case "fail":
        return this.#fail(op);
      case "request":
        return void this.#fates.push(op.fate);
      case "land":
        return void log.deliverLate(op.n % Math.max(1, log.lateWrites));
      case "kill":
        world.kill(op.role);
        return void world.start(op.role);
      case "stop":
        await world.stop(op.role);
        return void (world.failure === null && world.start(op.role));
      case "pause":
        world.paused = op.paused;
        return;
      case "lose":
        return this.#lose(op.part, op.n);
      case "backup":
        return database.backup();
      case "restore":
        world.markers.length = 0;
        return this.#restore(op.n);
      case "rebuild":
        return database.loseTriggers(op.table);
      case "heal":
        return database.heal();
      case "retire":
        world.target.dropped = new Set(["B"]);
        return database.retire("B");
    }
  }

  /** Whatever is under way ends well, and then nothing is left to be done. */
  async settle(): Promise<void> {
    const { world } = this;
    this.#fates = [];
    for (const it of roles) this.#noMoreFailures(world.running[it]);
    world.log.deliverAllLate();
    world.paused = false;
    world.database.heal();
    await world.run(31_000);
    await world.until(() => {
      this.#restartWhatStopped();
      return world.isSettled();
    }, "never settled");
    // The slow comparison has its turn; what is settled stays so.
    await world.run(31_000);
    if (world.failure === null && !world.isSettled()) world.fail(`not settled any more: ${world.describe()}`);
    const lost = world.markers.filter((marker) => !world.target.markers.includes(marker));
    if (lost.length > 0) world.fail(`markers that never came: ${lost.join()}`);
    for (const it of roles) if (world.failure === null) await world.stop(it);
  }

  /** After a restore `apply` is run again: what was retired is so once more. */
  #restore(n: number): void {
    const { database, target } = this.world;
    database.restore(n);
    if (target.dropped.has("B")) database.retire("B");
  }

  #mark(kind: "marker" | "touch" | "ask", table: "A" | "B", k: number): void {
    const name = this.world.database.special(kind, table, k);
    if (kind === "marker") this.world.markers.push(name);
  }

  #fail({ role, after, kind }: Extract<ServiceOp, { op: "fail" }>): void {
    const process = this.world.running[role];
    if (process === null) return;
    const at = process.ports.calls + 1 + after;
    process.ports.plan = (call) => (call.n === at ? failureOf(kind, call) : null);
  }

  #noMoreFailures(process: Process | null): void {
    if (process !== null) process.ports.plan = () => null;
  }

  /** A person reads the code and starts it again. */
  #restartWhatStopped(): void {
    for (const it of roles) {
      const process = this.world.running[it];
      if (process?.ended !== true) continue;
      const code = process.error?.code;
      if (code !== undefined && !expectedStops.has(code)) this.world.fail(`the ${it} stopped with ${code}: ${this.world.describe()}`);
      this.world.start(it);
    }
  }

  /** Never the first record of `.cuts`: a log that has lost its name is another log. */
  #lose(part: number, n: number): void {
    const { log } = this.world;
    const lanes = counted.flatMap((topic) => log.boundsOf(topic).map((bounds, partition) => ({ topic, partition, bounds })));
    const lane = lanes[part] ?? { topic: cuts, partition: 0, bounds: log.boundsOf(cuts)[0] };
    if (lane.bounds === undefined) return;
    const least = Math.max(lane.bounds.first, lane.topic === cuts ? 1 : 0);
    const end = Math.max(least, lane.bounds.end - n);
    if (end >= lane.bounds.end) return;
    log.loseTail(lane.topic, end, lane.partition);
    // What held a past that only this log knew is read again under a new history: its markers may be passed over.
    this.world.markers.length = 0;
    // Leaders that lose their tail are new ones: no connection outlives that.
    for (const it of roles) {
      this.world.kill(it);
      this.world.start(it);
    }
  }
}

/** What failing calls are told to say, and what a run may end in by itself. */
const expectedStops = new Set(["log.privileges", "source.log-damaged", "target.privileges", "registry.refused", "internal", "log.claimed"]);
