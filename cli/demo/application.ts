/** The demo's application as seen from outside: started, listened to, stopped. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { CommitsMessage } from "./shop-application.js";

export class Application implements AsyncDisposable {
  /** Wall time at which COMMIT came back, by transaction number. */
  readonly committedAt = new Map<number, number>();
  #last = 0;
  readonly #exited: Promise<unknown>;

  private constructor(private readonly child: ChildProcess) {
    this.#exited = once(child, "exit");
    child.on("message", (message) => this.#heard(message as CommitsMessage));
  }

  static start(program: string, path: string, options: { readonly rows: number; readonly perSecond: number }): Application {
    const child = spawn(process.execPath, [program, path, String(options.rows), String(options.perSecond)], {
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    return new Application(child);
  }

  /** Transactions committed so far, as far as it has told. */
  get commits(): number {
    return this.#last;
  }

  /** True when it ended without being asked: an error of its own, told on stderr. */
  get failed(): boolean {
    return this.child.exitCode !== null && this.child.exitCode !== 0;
  }

  async stop(): Promise<void> {
    if (this.child.connected) this.child.send("stop");
    if (this.child.exitCode === null && this.child.signalCode === null) await this.#exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGTERM");
    await this.stop();
  }

  #heard({ commits }: CommitsMessage): void {
    for (const [transaction, wallMs] of commits) {
      this.committedAt.set(transaction, wallMs);
      this.#last = Math.max(this.#last, transaction);
    }
  }
}
