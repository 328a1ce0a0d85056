/**
 * The engine in a process of its own: a copy that is wrong in a way nobody foresaw may crash it, and not us, and its memory has a limit that is
 * enforced from outside. Every call can be given up: then the process is killed, which its state is made for.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Clock } from "../../../core/clock.js";
import { isAbort, TailraceError } from "../../../core/errors.js";
import type { Engine } from "./engine.js";
import { type Answer, type Call, type Method, readError, type Reply, type Request } from "./messages.js";

export interface EngineProcessOptions {
  /** `compare`: the source's engine. `view`: reads copies for the verifier. `apply`: writes to the file as a target. `hold`: keeps it from writers. */
  readonly kind: "compare" | "view" | "apply" | "hold";
  readonly clock: Clock;
  /** What DuckDB may take; the process as a whole may take `overheadMb` more. */
  readonly memoryMb: number;
  /** The built program; default: beside this file. */
  readonly program?: string;
}

/** Node itself, the driver, and what DuckDB does not count: 400 MB were measured. */
const overheadMb = 600;
const lookEveryMs = 250;
const pageBytes = 4_096;

interface Waiting {
  readonly resolve: (answer: unknown) => void;
  readonly reject: (reason: unknown) => void;
}

export class EngineProcess<E = Engine> implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  readonly #ended = new AbortController();
  readonly #options: EngineProcessOptions;
  #calls = 0;
  #why: TailraceError | null = null;

  constructor(options: EngineProcessOptions) {
    this.#options = options;
    this.#child = fork(options.program ?? fileURLToPath(new URL("./worker.js", import.meta.url)), [options.kind], {
      serialization: "advanced",
      execArgv: ["--max-old-space-size=256"],
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    this.#child.on("message", (reply: Reply) => this.#settle(reply));
    this.#child.once("error", (cause) =>
      this.#end(new TailraceError("source.worker-ended", { what: "The engine's process cannot be started", cause })),
    );
    this.#child.once("exit", (code, signal) => {
      this.#end(new TailraceError("source.worker-ended", { what: `The engine's process ended (${signal ?? `exit ${code ?? "?"}`})` }));
    });
    void this.#watchMemory();
  }

  get isOver(): boolean {
    return this.#why !== null;
  }
  get pid(): number | undefined {
    return this.#child.pid;
  }

  async call<M extends Method<E>>(method: M, request: Request<M, E>, signal: AbortSignal): Promise<Answer<M, E>> {
    signal.throwIfAborted();
    if (this.#why !== null) throw this.#why;
    const id = ++this.#calls;
    const abort = (): void => this.#end(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    try {
      const answer = await new Promise<unknown>((resolve, reject) => {
        this.#waiting.set(id, { resolve, reject });
        this.#child.send({ id, method, request } satisfies Call, (failed) => {
          if (failed !== null)
            this.#end(new TailraceError("source.worker-ended", { what: "The engine's process does not listen", cause: failed }));
        });
      });
      return answer as Answer<M, E>;
    } finally {
      signal.removeEventListener("abort", abort);
      this.#waiting.delete(id);
    }
  }

  /** Without waiting for its end. */
  kill(): void {
    this.#end(new TailraceError("source.worker-ended", { what: "The engine was closed" }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end(new TailraceError("source.worker-ended", { what: "The engine was closed" }));
    if (this.#child.exitCode === null && this.#child.signalCode === null && this.#child.pid !== undefined) await once(this.#child, "exit");
  }

  #settle(reply: Reply): void {
    const waiting = this.#waiting.get(reply.id);
    if (reply.kind === "answer") waiting?.resolve(reply.answer);
    else waiting?.reject(readError(reply.error));
  }

  #end(reason: unknown): void {
    this.#why ??= reason instanceof TailraceError ? reason : new TailraceError("source.worker-ended", { what: "The engine was given up" });
    this.#ended.abort();
    this.#child.kill("SIGKILL");
    for (const { reject } of this.#waiting.values()) reject(reason);
  }

  /** DuckDB keeps to its own limit nearly always; this is for the rest. */
  async #watchMemory(): Promise<void> {
    const mostMb = this.#options.memoryMb + overheadMb;
    try {
      for (;;) {
        await this.#options.clock.delay(lookEveryMs, this.#ended.signal);
        const usedMb = residentMb(this.#child.pid);
        if (usedMb <= mostMb) continue;
        this.#end(
          new TailraceError("source.memory", {
            what: `The engine's process took ${usedMb} MB and may take ${mostMb}`,
            where: { usedMb, mostMb },
          }),
        );
      }
    } catch (thrown) {
      if (!isAbort(thrown)) throw thrown;
    }
  }
}

/** 0 where the system does not say. */
export function residentMb(pid: number | undefined): number {
  try {
    const [, pages = "0"] = readFileSync(`/proc/${pid ?? 0}/statm`, "utf8").split(" ");
    return Math.round((Number(pages) * pageBytes) / (1 << 20));
  } catch {
    return 0;
  }
}
