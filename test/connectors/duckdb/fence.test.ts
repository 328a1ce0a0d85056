import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { openDuckDbFence } from "../../../connectors/duckdb/fence/fence.js";
import { asideName } from "../../../connectors/duckdb/fence/tombstone.js";
import { markerId, theGroup } from "../../../core/vocabulary/ids.js";
import { keyText } from "../../../core/vocabulary/value.js";
import { sourceFenceContract } from "../../contracts/source-fence-contract.js";
import { DuckDbFile, engineProgram } from "../../support/duckdb.js";
import { readDuckDb } from "../../support/duckdb-read.js";
import { Follower } from "../../support/follower.js";
import { until } from "../../support/oracles/until.js";

const ddl = "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO t SELECT range, range FROM range(100)";
const marker = markerId("m");
const never = new AbortController().signal;
const limits = { waitMs: 20_000, leaseMs: 60_000 };
const openFence = ({ path, pipeline, stateDirectory }: DuckDbFile) =>
  openDuckDbFence({ path, pipeline, stateDirectory, program: engineProgram });

/** The application is a process of its own that has the file open while it writes, and the source is read all the time. */
class Fenced implements AsyncDisposable {
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #written = 100;

  private constructor(
    readonly file: DuckDbFile,
    private readonly follower: Follower,
  ) {
    this.#running = this.#follow().catch((thrown: unknown) => {
      if (!this.#stop.signal.aborted) throw thrown;
    });
  }

  static async make(): Promise<Fenced> {
    const file = await DuckDbFile.of(ddl);
    await file.run("USE memory; DETACH app");
    const follower = new Follower(await file.open());
    while (follower.source.progress().some(({ state }) => state !== "done")) await follower.next();
    return new Fenced(file, follower);
  }

  async write(): Promise<string | null> {
    try {
      await this.file.run(`ATTACH '${this.file.path}' AS app`);
    } catch (thrown) {
      const said = String(thrown);
      return /Could not set lock|not a valid DuckDB database/.test(said) ? `fenced off: ${said}` : said;
    }
    await this.file.run(`INSERT INTO app.t VALUES (${this.#written}, 0); DETACH app`);
    this.#written += 1;
    return null;
  }

  /** What was told up to there is what was written until then. */
  isBehind({ order }: { readonly order: number }): boolean {
    const cut = this.follower.cuts.find(({ position }) => position.order === order);
    return cut !== undefined && cut.replica.rows("t").length === this.#written;
  }

  async occupy(): Promise<() => Promise<void>> {
    await this.file.run(`ATTACH '${this.file.path}' AS app; BEGIN; INSERT INTO app.t VALUES (${this.#written}, 1)`);
    this.#written += 1;
    return async () => {
      await this.file.run("COMMIT; DETACH app");
    };
  }

  async #follow(): Promise<void> {
    while (!this.#stop.signal.aborted) await this.follower.next();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.follower[Symbol.asyncDispose]();
    await this.#running.catch(() => {});
    await this.file[Symbol.asyncDispose]();
  }
}

sourceFenceContract("DuckDB", async () => {
  const fenced = await Fenced.make();
  return {
    open: () => openFence(fenced.file),
    write: () => fenced.write(),
    isBehind: (at) => fenced.isBehind(at),
    occupy: () => fenced.occupy(),
    occupied: "cutover.file-open",
    [Symbol.asyncDispose]: () => fenced[Symbol.asyncDispose](),
  };
});

test("a file that is kept lies aside; in its place stands a text that says so, and it comes home whole", async () => {
  await using fenced = await Fenced.make();
  const { path } = fenced.file;
  using fence = openFence(fenced.file);
  const { at } = await fence.fence(theGroup, marker, limits, never);
  await fence.keep(theGroup, marker);
  expect(readFileSync(path, "utf8")).toContain("tailrace: writes are fenced off");
  await expect(readDuckDb(path, "SELECT 1")).rejects.toThrow("is not a valid DuckDB database file");
  expect(await readDuckDb(asideName(path), "SELECT count(*) FROM t")).toEqual([["100"]]);
  expect(await fence.state(theGroup)).toEqual({ kind: "kept", marker, at });
  await fence.comeHome(markerId("another"), never);
  expect(existsSync(asideName(path))).toBe(true);
  await fence.comeHome(marker, never);
  await fence.comeHome(marker, never);
  expect(existsSync(asideName(path))).toBe(false);
  expect(await fenced.write()).toBeNull();
});

test("what came home counts as told, and what the application writes then is told", async () => {
  await using file = await DuckDbFile.of(ddl);
  await file.run("USE memory; DETACH app");
  const follower = new Follower(await file.open());
  while (follower.source.progress().some(({ state }) => state !== "done")) await follower.next();
  using fence = openFence(file);
  const answered = fence.fence(theGroup, marker, limits, never);
  while (!follower.replica.markers.includes(marker)) await follower.next();
  const next = follower.next();
  await answered;
  await fence.keep(theGroup, marker);
  await file.run(
    `ATTACH '${asideName(file.path)}' AS app; UPDATE app.t SET n = -1 WHERE id < 50; DELETE FROM app.t WHERE id = 99; DETACH app`,
  );
  await fence.comeHome(marker, never);
  await file.run(
    `ATTACH '${file.path}' AS app; BEGIN; INSERT INTO app.t VALUES (1000, 7); UPDATE app.t SET n = -2 WHERE id = 3; COMMIT; DETACH app`,
  );
  const { position } = await next;
  const told = follower.lastParts.flatMap((part) => (part.kind === "changes" ? part.changes : []));
  expect(told.map((change) => `${change.kind} ${keyText(change.key)}`).toSorted()).toEqual(["create i1000", "update i3"]);
  expect(position.history).toBe(follower.cuts[0]?.position.history);
  await follower[Symbol.asyncDispose]();
});

test.each(["SIGKILL", "SIGSTOP"] as const)("a lease ends without whoever took it (%s)", async (signal) => {
  await using fenced = await Fenced.make();
  const { path, pipeline, stateDirectory } = fenced.file;
  const script = `import { openDuckDbFence } from "./dist/connectors/duckdb/fence/fence.js";
    const fence = openDuckDbFence(${JSON.stringify({ path, pipeline, stateDirectory })});
    await fence.fence(1, "m", { waitMs: 20_000, leaseMs: 60_000 }, new AbortController().signal);
    console.log("fenced"); await new Promise((resolve) => process.stdin.once("data", resolve));
    await fence.renew(1, "m", 3_000);
    console.log("renewed"); setInterval(() => fence.renew(1, "m", 3_000), 300);`;
  const tool = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = once(tool, "close");
  await once(tool.stdout, "data");
  // Under a lease that outlasts any pause of the tool; the one that is to end comes behind it.
  expect(await fenced.write()).toContain("fenced off");
  tool.stdin.write("shorter\n");
  await once(tool.stdout, "data");
  tool.kill(signal);
  await until(
    async () => (await fenced.write()) === null,
    40_000,
    () => "the lease does not end",
  );
  using fence = openFence(fenced.file);
  await until(
    async () => (await fence.state(theGroup)).kind === "open",
    30_000,
    () => "the fence is not open",
  );
  tool.kill("SIGKILL");
  await ended;
});
