/** A JVM that logs into a file and is not left behind. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { openSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const startPatienceMs = 120_000;
const stopPatienceMs = 30_000;

export class JavaProcess implements AsyncDisposable {
  readonly #child: ChildProcess;

  constructor(
    private readonly name: string,
    { java, args, folder, log }: { readonly java: string; readonly args: readonly string[]; readonly folder: string; readonly log: string },
    private readonly logFile = log,
  ) {
    const output = openSync(log, "w");
    this.#child = spawn(java, [...args], { cwd: folder, stdio: ["ignore", output, output] });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Until `ready` answers true; throws with the end of the log when the process has ended. */
  async until(ready: () => Promise<boolean>): Promise<void> {
    const deadline = performance.now() + startPatienceMs;
    while (!(await ready().catch(() => false))) {
      this.refuseEnded();
      if (performance.now() > deadline) throw new Error(`${this.name} does not answer:\n${this.said()}`);
      await sleep(100);
    }
  }

  refuseEnded(): void {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) throw new Error(`${this.name} ended:\n${this.said()}`);
  }

  said(): string {
    return readFileSync(this.logFile, "utf8").slice(-4_000);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGTERM");
    const patience = setTimeout(() => this.#child.kill("SIGKILL"), stopPatienceMs);
    await ended;
    clearTimeout(patience);
  }
}
