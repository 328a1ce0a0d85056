/**
 * A large DuckDB file in little memory: source, sink and verify service with the embedded log in one memory cgroup of 2 GiB, PostgreSQL and the
 * application outside. First copy, changes side by side and all over, processes killed, verification; at the end both sides say the same sums.
 *
 * TMPDIR says where everything lies. TAILRACE_BENCH_FILE names a file to work on a copy of; one that is not there is made first.
 */
import { constants, copyFileSync, existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { compareSums, LiveApplication, makeLargeFile } from "./large-file.js";
import { MemoryCage } from "./memory-cage.js";
import type { Bench, BenchOptions } from "./options.js";
import { BenchPipeline, type Role } from "./pipeline.js";
import { openPlace } from "./place.js";
import { rounded } from "./report.js";
import { DiskWatch, ProcessWatch } from "./watches.js";

const cageMiB = 2048;
const memoryMb = 300;
const roles: readonly Role[] = ["source", "sink", "verify"];
const patienceMs = 7_200_000;
/** The usual 5,000 would take two hours for what is here. */
const verify = { rowsPerSecond: 50_000 };
/** A cycle has begun by then, and is killed in the middle. */
const killAfterMs = 2_000;

interface Step {
  readonly what: string;
  readonly seconds: number;
  readonly cpuSeconds: number;
}

export const large: Bench = async (options) => {
  const rows = options.count("rows", 30_000_000, 200_000);
  const documents = options.count("documents", Math.round(rows * 0.0783), 10_000);
  const limitMiB = options.count("memory", cageMiB, cageMiB);
  await using place = await openPlace(["embedded"]);
  const file = join(place.folder, "large.duckdb");
  const made = process.env.TAILRACE_BENCH_FILE ?? file;
  if (!existsSync(made)) await makeLargeFile(made, { rows, documents, say: options.say });
  if (made !== file) copyFileSync(made, file, constants.COPYFILE_FICLONE);
  await using cage = MemoryCage.make(`tailrace-large-${process.pid}`, limitMiB * 2 ** 20);
  if (cage === null) throw new Error("no memory cgroup can be made here");
  const more = { source: { memoryMb }, verify, tables: { reading: { key: ["id"] }, document: {}, account: {}, event: {} } };
  await using pipeline = await BenchPipeline.make(place, { name: "large", log: "embedded", file, kind: "duckdb", cage, more });
  await using application = await LiveApplication.open(file);
  await using disk = new DiskWatch(join(place.folder, "large", ".tailrace"));
  await using processes = new ProcessWatch(() => roles.map((role) => [role, pipeline.pid(role)]));
  const run = new LargeRun({ rows, pipeline, application, cage, processes, say: options.say });
  await run.all();
  const sums = await compareSums(application, pipeline.client);
  const { peakMiB, heldMostMiB, kills } = cage.figures();
  return {
    setup: [
      `${rows} readings, ${documents} documents, a file of ${rounded(statSync(file).size / 1e9, 2)} GB; memoryMb ${memoryMb}`,
      `memory cgroup of ${limitMiB} MiB: held by processes at most ${rounded(heldMostMiB, 0)} MiB, with page cache ${rounded(peakMiB, 0)} MiB, killed by the kernel: ${kills}`,
      `peak RSS: ${processes.most()}`,
      `most disk beside the settings: ${rounded(disk.most / 1e9, 2)} GB (blocks that files share counted as often)`,
      `both sides afterwards: ${sums}`,
      place.postgres,
    ],
    tables: [
      {
        title: "until it was in PostgreSQL",
        columns: ["what", "s", "CPU s"],
        rows: run.steps.map(({ what, seconds, cpuSeconds }) => [what, rounded(seconds, 1), rounded(cpuSeconds, 1)]),
      },
    ],
    skipped: [],
    rounds: run.steps,
  };
};

class LargeRun {
  readonly steps: Step[] = [];
  #round = 0;
  #beganMs = 0;
  #cpuUs = 0;

  constructor(
    private readonly parts: {
      readonly rows: number;
      readonly pipeline: BenchPipeline;
      readonly application: LiveApplication;
      readonly cage: MemoryCage;
      readonly processes: ProcessWatch;
      readonly say: BenchOptions["say"];
    },
  ) {}

  async all(): Promise<void> {
    const { pipeline, say } = this.parts;
    this.#begin();
    for (const role of roles) pipeline.start(role);
    await pipeline.until("the first copy ends", ({ phase }) => phase === "streaming", 1_000);
    this.#told("first copy");
    await this.#changes();
    await this.#kills();
    const verified = await pipeline.verb("wait", "verified", "--timeout", "90m");
    if (verified.code !== 0) say(`wait verified ended with ${verified.code}: ${verified.stdout}${verified.stderr}`);
    this.#told(verified.code === 0 ? "verified" : "not verified");
    for (const role of roles) await pipeline.stop(role);
  }

  async #changes(): Promise<void> {
    const { rows } = this.parts;
    const thousandth = Math.max(1, Math.round(rows / 1_000));
    await this.#change("one row");
    await this.#change(
      "0.1 % side by side",
      `UPDATE reading SET level = level // 2 WHERE id >= ${rows / 2} AND id < ${rows / 2 + thousandth}`,
      `INSERT INTO reading SELECT ${rows} + range, 1, 2, TIMESTAMP '2026-01-01' FROM range(${thousandth})`,
      "UPDATE document SET body = 'changed ' || body WHERE id < 1000",
    );
    await this.#change("0.1 % scattered", "UPDATE reading SET sensor = sensor + 1 WHERE hash(id + 7) % 1000 = 0");
    await this.#change(
      "deletions, a table without a key among them",
      "DELETE FROM reading WHERE hash(id) % 10000 = 0",
      "DELETE FROM event WHERE who % 100 = 0",
    );
  }

  async #kills(): Promise<void> {
    const { pipeline, application } = this.parts;
    await application.commit([
      "UPDATE reading SET sensor = sensor + 1 WHERE hash(id + 9) % 1000 = 0",
      "UPDATE document SET title = 'new ' || id WHERE id % 100 = 0",
    ]);
    await sleep(killAfterMs);
    await pipeline.kill("source");
    await pipeline.kill("sink");
    for (const role of ["source", "sink"] as const) pipeline.start(role);
    await this.#change("source and sink killed in a cycle, another change");
  }

  async #change(what: string, ...statements: readonly string[]): Promise<void> {
    this.#round++;
    await this.parts.application.commit([...statements, `UPDATE account SET note = 'round ${this.#round}' WHERE id = 0`]);
    this.#begin();
    await arrived(this.parts.pipeline, this.#round);
    this.#told(what);
  }

  #begin(): void {
    this.#beganMs = performance.now();
    this.#cpuUs = this.parts.processes.cpuUs();
  }

  #told(what: string): void {
    const { cage, processes, say } = this.parts;
    const step = { what, seconds: (performance.now() - this.#beganMs) / 1000, cpuSeconds: (processes.cpuUs() - this.#cpuUs) / 1e6 };
    this.steps.push(step);
    const { heldMostMiB, kills } = cage.figures();
    say(
      `${what}: ${rounded(step.seconds, 1)} s, ${rounded(step.cpuSeconds, 1)} CPU s; held most ${rounded(heldMostMiB, 0)} MiB, ${kills} killed; ${processes.most()}`,
    );
    this.#begin();
  }
}

/** The transaction that ends with this note has been applied, and so has everything that was committed before it. */
async function arrived(pipeline: BenchPipeline, round: number): Promise<void> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const { rows } = await pipeline.client.query<{ note: string }>("SELECT note FROM public.account WHERE id = 0");
    if (rows[0]?.note === `round ${round}`) return;
    pipeline.refuseEnded();
    if (performance.now() > deadline) throw new Error(`round ${round} did not arrive: ${rows[0]?.note ?? "nothing"}`);
    await sleep(200);
  }
}
