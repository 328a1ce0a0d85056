/**
 * One role in its own process. Promises: a crash is followed by a restart with rising delay; an end that needs a person (exit 6, refused
 * settings) is kept and said; on stop the child is asked once and, after the grace time, killed.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { Backoff, type Clock } from "../../core/clock.js";
import { type ExitCode, exits } from "../exit-codes.js";
import { type ChildReport, parseReport, type Role } from "./messages.js";

export type ChildState = "running" | "restarting" | "stopped" | "ended";
export interface ChildView {
  readonly role: Role;
  readonly state: ChildState;
  /** When it came into this state, in milliseconds since 1970. */
  readonly sinceMs: number;
  readonly pid: number | null;
  readonly restarts: number;
  /** How it ended last; null while it never did. */
  readonly lastExit: string | null;
  readonly report: ChildReport | null;
}
export interface ChildOptions {
  readonly role: Role;
  /** Program and its words; the role is not among them. */
  readonly command: readonly [string, ...string[]];
  readonly clock: Clock;
  /** A line of the child's stderr. */
  readonly onLine: (role: Role, line: string) => void;
  readonly onChange: (view: ChildView) => void;
}

const graceMs = 32_000;
/** Exit codes that another start cannot change. */
const final: ReadonlySet<number> = new Set([exits.needsPerson, exits.refused, exits.gateRefused]);
/** A crash this long after a start begins the delays again. */
const soundAfterMs = 30_000;

export class Child {
  #view: ChildView;
  readonly #backoff = new Backoff(500, 15_000);

  constructor(private readonly options: ChildOptions) {
    this.#view = {
      role: options.role,
      state: "restarting",
      sinceMs: options.clock.wallMs(),
      pid: null,
      restarts: 0,
      lastExit: null,
      report: null,
    };
  }

  view(): ChildView {
    return this.#view;
  }

  /** Resolves when the child has ended for good: stopped by the signal, or in need of a person. */
  async run(signal: AbortSignal): Promise<ExitCode> {
    const { clock } = this.options;
    while (!signal.aborted) {
      const startedMs = clock.monotonicMs();
      const { code, said } = await this.#once(signal);
      if (signal.aborted) break;
      if (code !== null && final.has(code)) {
        this.#change({ state: "stopped", pid: null, lastExit: said });
        return code as ExitCode;
      }
      if (clock.monotonicMs() - startedMs > soundAfterMs) this.#backoff.reset();
      this.#change({ state: "restarting", pid: null, lastExit: said, restarts: this.#view.restarts + 1, report: null });
      await clock.delay(this.#backoff.next(), signal).catch(() => {});
    }
    this.#change({ state: "ended", pid: null });
    return exits.done;
  }

  async #once(signal: AbortSignal): Promise<{ readonly code: number | null; readonly said: string }> {
    const { command, role } = this.options;
    const [program, ...words] = command;
    // Detached: Ctrl-C of a terminal must reach it once, through us, not twice. It ends by itself when the channel closes.
    const child = spawn(program, [...words, role], { stdio: ["ignore", "ignore", "pipe", "ipc"], detached: true });
    const ended = exitOf(child);
    this.#change({ state: "running", pid: child.pid ?? null });
    child.on("message", (message) => {
      const report = parseReport(message);
      if (report !== null) this.#change({ report });
    });
    if (child.stderr !== null) createInterface({ input: child.stderr }).on("line", (line) => this.options.onLine(role, line));
    const stop = (): void => {
      child.kill("SIGTERM");
    };
    const kill = new AbortController();
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
    const insist = this.#killLate(child, signal, kill.signal);
    try {
      return await ended;
    } finally {
      signal.removeEventListener("abort", stop);
      kill.abort();
      await insist;
    }
  }

  async #killLate(child: ChildProcess, asked: AbortSignal, gone: AbortSignal): Promise<void> {
    try {
      if (!asked.aborted) await once(asked, "abort", { signal: gone });
      await this.options.clock.delay(graceMs, gone);
      child.kill("SIGKILL");
    } catch {
      // It ended in time.
    }
  }

  #change(change: Partial<ChildView>): void {
    const isNew = change.state !== undefined && change.state !== this.#view.state;
    this.#view = { ...this.#view, ...change, ...(isNew ? { sinceMs: this.options.clock.wallMs() } : {}) };
    this.options.onChange(this.#view);
  }
}

function exitOf(child: ChildProcess): Promise<{ readonly code: number | null; readonly said: string }> {
  return new Promise((resolve) => {
    child.once("error", (error) => resolve({ code: null, said: `did not start: ${error.message}` }));
    child.once("exit", (code, by) => resolve({ code, said: by === null ? `exit ${code ?? "?"}` : `killed by ${by}` }));
  });
}
