/** One `tailrace run source` or `run sink` as an operator runs it: the built command, in its own process, that can be killed, stopped and continued. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";

export type Role = "source" | "sink";
interface Status {
  readonly state: string;
  readonly code: string | null;
  readonly position: string | null;
}
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export const builtCommand = join(process.cwd(), "dist/cli/tailrace.js");
const linesKept = 40;

export class RoleProcess {
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  readonly ended: Promise<Ended>;
  #end: Ended | null = null;
  #port: number | null = null;

  /** `env`: TMPDIR among others, so that what a process leaves behind is found. `command`: of another build than the one in `dist`. */
  constructor(
    readonly role: Role,
    readonly name: string,
    where: { readonly command: string; readonly settings: string; readonly folder: string; readonly env: NodeJS.ProcessEnv },
  ) {
    this.#child = spawn(process.execPath, [where.command, "run", role, "-c", where.settings], {
      cwd: where.folder,
      env: where.env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const file = createWriteStream(join(where.folder, `${name}.log`), { flags: "a" });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      if (stream === null) continue;
      createInterface({ input: stream }).on("line", (line) => {
        file.write(`${line}\n`);
        this.#lines.push(line);
        if (line.includes('"http.listening"')) this.#port = (JSON.parse(line) as { port: number }).port;
        if (this.#lines.length > linesKept) this.#lines.shift();
      });
    }
    this.ended = once(this.#child, "close").then(([code, signal]) => {
      file.end();
      this.#end = { code: code as number | null, signal: signal as NodeJS.Signals | null };
      return this.#end;
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }
  /** null while it runs. */
  get end(): Ended | null {
    return this.#end;
  }
  get lastLines(): readonly string[] {
    return this.#lines;
  }
  /** Of /health and /status, once it listens. */
  get port(): number | null {
    return this.#port;
  }

  async status(): Promise<Status | null> {
    if (this.#port === null) return null;
    // It may die while it answers.
    return await fetch(`http://127.0.0.1:${this.#port}/status`)
      .then(async (answer) => (await answer.json()) as Status)
      .catch(() => null);
  }

  /** By SIGSTOP; Linux only, read from /proc. */
  isStopped(): boolean {
    try {
      const stat = readFileSync(`/proc/${this.pid}/stat`, "utf8");
      return stat.slice(stat.lastIndexOf(")") + 2).startsWith("T");
    } catch {
      return false;
    }
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.ended;
  }

  stop(): void {
    this.#child.kill("SIGSTOP");
  }

  continue(): void {
    this.#child.kill("SIGCONT");
  }

  /** Asks politely and waits for the end. */
  async terminate(): Promise<Ended> {
    this.continue();
    this.#child.kill("SIGTERM");
    return await this.ended;
  }
}
