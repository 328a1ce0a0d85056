/** One pipeline as an operator runs it: a settings file, `apply`, and a process per role of the command that was built for this run. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type pg from "pg";
import { stringify } from "yaml";
import type { MemoryCage } from "./memory-cage.js";
import type { LogKind } from "./options.js";
import { type BenchPlace, connect } from "./place.js";

export type Role = "source" | "sink" | "reverse" | "verify";
const command = fileURLToPath(new URL("../cli/tailrace.js", import.meta.url));
const run = promisify(execFile);
/** A backlog of millions takes minutes, a large file an hour. */
const patienceMs = 7_200_000;

export interface Applied {
  readonly phase: string | null;
  readonly order: number;
  readonly owner: number;
}

export class BenchPipeline implements AsyncDisposable {
  readonly #processes = new Map<Role, ChildProcess>();
  #started = 0;

  private constructor(
    private readonly settings: string,
    private readonly folder: string,
    readonly url: string,
    readonly name: string,
    private readonly port: number,
    readonly client: pg.Client,
    private readonly profile: string | null,
    private readonly cage: MemoryCage | null,
  ) {}

  /** `file` is used as it is. The capture is installed and the target prepared on return. */
  static async make(
    place: BenchPlace,
    {
      name,
      log,
      file,
      registry = null,
      kind = "sqlite",
      profile = null,
      cage = null,
      more = {},
    }: {
      readonly name: string;
      readonly log: LogKind;
      readonly file: string;
      readonly registry?: string | null;
      readonly kind?: "sqlite" | "duckdb";
      readonly profile?: string | null;
      /** Where its processes run. */
      readonly cage?: MemoryCage | null;
      /** Settings beyond the usual ones; those of `source` are joined with them. */
      readonly more?: { readonly source?: object; readonly tables?: object; readonly verify?: object };
    },
  ): Promise<BenchPipeline> {
    const folder = join(place.folder, name);
    mkdirSync(folder, { recursive: true });
    const url = await place.database(name);
    const settings = join(folder, "tailrace.yaml");
    // Three ports in a row, below those that the system gives to clients.
    const port = 20_000 + 3 * Math.floor(Math.random() * 3_000);
    writeFileSync(
      settings,
      stringify({
        pipeline: name,
        source: { kind, path: file, ...more.source },
        log:
          log === "embedded"
            ? { kind: "embedded" }
            : { kind: "kafka", brokers: place.kafka?.brokers ?? [], ...(registry === null ? {} : { registry }) },
        target: { url },
        http: { listen: `127.0.0.1:${port}` },
        ...(more.tables === undefined ? {} : { tables: more.tables }),
        ...(more.verify === undefined ? {} : { verify: more.verify }),
      }),
    );
    const pipeline = new BenchPipeline(settings, folder, url, name, port, await connect(url), profile, cage);
    const applied = await pipeline.verb("apply", "--yes");
    if (applied.code !== 0) throw new Error(`apply ended with ${applied.code}: ${applied.stdout}${applied.stderr}`);
    return pipeline;
  }

  /** Runs a verb on this pipeline's settings; its exit code is part of the answer. */
  async verb(...words: readonly string[]): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
    try {
      const [program, args] = this.#caged([process.execPath, command, ...words, "-c", this.settings]);
      return { code: 0, ...(await run(program, [...args], { cwd: this.folder, maxBuffer: 64 << 20 })) };
    } catch (thrown) {
      const { code, stdout, stderr } = thrown as { code?: unknown; stdout?: string; stderr?: string };
      if (typeof code !== "number") throw thrown;
      return { code, stdout: stdout ?? "", stderr: stderr ?? "" };
    }
  }

  /** Starts the process of a role; it may not be up yet on return. */
  start(role: Role): number {
    const profiling =
      this.profile === null
        ? []
        : ["--cpu-prof", `--cpu-prof-dir=${this.profile}`, `--cpu-prof-name=${this.name}-${role}-${++this.#started}.cpuprofile`];
    const [program, args] = this.#caged([process.execPath, ...profiling, command, "run", role, "-c", this.settings]);
    const child = spawn(program, [...args], {
      cwd: this.folder,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const log = createWriteStream(join(this.folder, `${role}.log`), { flags: "a" });
    child.stdout.pipe(log, { end: false });
    child.stderr.pipe(log, { end: false });
    this.#processes.set(role, child);
    return child.pid ?? 0;
  }

  /** With fresh processes of these roles, which are stopped afterwards. */
  async run<T>(roles: readonly Role[], work: () => Promise<T>): Promise<T> {
    for (const role of roles) this.start(role);
    const result = await work();
    this.refuseEnded();
    for (const role of roles) await this.stop(role);
    return result;
  }

  pid(role: Role): number {
    return this.#processes.get(role)?.pid ?? 0;
  }

  async stop(role: Role): Promise<void> {
    await this.#end(role, "SIGTERM");
  }

  async kill(role: Role): Promise<void> {
    await this.#end(role, "SIGKILL");
  }

  async #end(role: Role, signal: NodeJS.Signals): Promise<void> {
    const child = this.#processes.get(role);
    this.#processes.delete(role);
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill(signal);
    await ended;
  }

  async applied(): Promise<Applied> {
    const { rows } = await this.client.query<{ phase: string | null; ord: string | null; owner_epoch: string }>({
      name: "applied",
      text: "SELECT phase, ord, owner_epoch FROM tailrace.pipeline WHERE direction = 'forward'",
    });
    const row = rows[0];
    return { phase: row?.phase ?? null, order: Number(row?.ord ?? -1), owner: Number(row?.owner_epoch ?? 0) };
  }

  /** Looks every few milliseconds; throws when a process has ended meanwhile. */
  async until(what: string, holds: (applied: Applied) => boolean, everyMs = 10): Promise<Applied> {
    const deadline = performance.now() + patienceMs;
    for (;;) {
      const applied = await this.applied();
      if (holds(applied)) return applied;
      this.refuseEnded();
      if (performance.now() > deadline) throw new Error(`in vain: ${what}; applied ${JSON.stringify(applied)}`);
      await sleep(everyMs);
    }
  }

  /** Until the source has put everything up to this capture row into the log. */
  async untilRelayed(order: number): Promise<void> {
    const deadline = performance.now() + patienceMs;
    for (;;) {
      const position = await this.#sourcePosition();
      if (position >= order) return;
      this.refuseEnded();
      if (performance.now() > deadline) throw new Error(`in vain: the source stands at ${position} of ${order}`);
      await sleep(20);
    }
  }

  refuseEnded(): void {
    for (const [role, child] of this.#processes) {
      if (child.exitCode === null && child.signalCode === null) continue;
      throw new Error(
        `the ${role} ended (${child.exitCode ?? child.signalCode ?? ""}):\n${readFileSync(join(this.folder, `${role}.log`), "utf8").slice(-2_000)}`,
      );
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const role of [...this.#processes.keys()]) await this.stop(role);
    await this.client.end();
  }

  /** What the role says of itself; null while it does not answer. */
  async status(role: Role): Promise<{ readonly position: string | null; readonly details: Readonly<Record<string, unknown>> } | null> {
    try {
      const answer = await fetch(`http://127.0.0.1:${this.port + (role === "source" ? 1 : 2)}/status`);
      return (await answer.json()) as { position: string | null; details: Readonly<Record<string, unknown>> };
    } catch {
      return null;
    }
  }

  #caged(words: readonly string[]): readonly [string, readonly string[]] {
    const [program = "", ...args] = words;
    return this.cage?.command(words) ?? [program, args];
  }

  async #sourcePosition(): Promise<number> {
    return Number((await this.status("source"))?.position?.split(":")[1] ?? -1);
  }
}
