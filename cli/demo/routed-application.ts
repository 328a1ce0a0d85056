/** The demo's application that follows its route, as a process of its own: it says where each of its transactions was written, and when. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { systemClock } from "../../core/clock.js";
import { TailraceError } from "../../core/errors.js";
import type { Settings } from "../../core/settings.js";
import type { WrittenMessage } from "./switching-application.js";

export interface RoutedOptions {
  readonly settings: Settings;
  readonly file: string;
  readonly firstTransaction: number;
}

export class RoutedApplication implements AsyncDisposable {
  readonly #written: WrittenMessage[] = [];
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;

  /** `firstTransaction`: numbers below it are taken. */
  static start(options: RoutedOptions, url: string): RoutedApplication {
    return new RoutedApplication(options, url);
  }

  private constructor({ file, settings, firstTransaction }: RoutedOptions, url: string) {
    const program = fileURLToPath(new URL("./switching-application.js", import.meta.url));
    this.#child = spawn(process.execPath, [program, file, settings.pipeline, String(firstTransaction)], {
      env: { ...process.env, TAILRACE_DEMO_URL: url },
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    this.#exited = once(this.#child, "exit");
    this.#child.on("message", (message) => this.#written.push(message as WrittenMessage));
  }

  count(side: WrittenMessage["side"]): number {
    return this.#written.filter((one) => one.side === side).length;
  }

  transactions(): readonly number[] {
    return this.#written.map(({ transaction }) => transaction);
  }

  /** As it saw it: from its last success on one side to its first on the other. */
  pauseMs(from: WrittenMessage["side"], to: WrittenMessage["side"]): number {
    const last = this.#written.findLast(({ side }) => side === from);
    const first = this.#written.find(({ side }) => side === to);
    return last === undefined || first === undefined ? Number.NaN : first.wallMs - last.wallMs;
  }

  async until(side: WrittenMessage["side"], count: number, signal: AbortSignal): Promise<void> {
    while (this.count(side) < count) {
      if (this.#child.exitCode !== null)
        throw new TailraceError("internal", { what: "The demo's application ended by an error of its own" });
      await systemClock.delay(20, signal);
    }
  }

  async stop(): Promise<void> {
    if (this.#child.connected) this.#child.send("stop");
    if (this.#child.exitCode === null && this.#child.signalCode === null) await this.#exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.stop();
  }
}
