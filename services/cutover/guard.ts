/**
 * What watches over a pause: writes wait no longer than they may, the fence's lease is renewed while it is needed, and somebody may ask for it all to
 * be given up. Whatever of it comes first aborts the step in hand with its reason.
 */
import type { CutoverSession, SourceFence } from "../../core/contracts/cutover.js";
import { asTailraceError, isAbort, TailraceError } from "../../core/errors.js";
import type { MarkerId } from "../../core/vocabulary/ids.js";
import type { CutoverParts } from "./parts.js";

const askEveryMs = 250;

export class Guard implements AsyncDisposable {
  readonly #reason = new AbortController();
  readonly #ended = new AbortController();
  readonly #tasks: Promise<void>[] = [];
  #outer: AbortSignal = this.#reason.signal;

  constructor(
    private readonly parts: CutoverParts,
    private readonly session: CutoverSession,
    private readonly held: { readonly marker: MarkerId; readonly fence: SourceFence },
  ) {}

  get signal(): AbortSignal {
    return this.#outer;
  }

  /** Writes begin to wait. */
  begin(signal: AbortSignal): void {
    this.#outer = AbortSignal.any([signal, this.#reason.signal]);
    this.#watch(async (ended) => {
      await this.parts.clock.delay(this.parts.limits.pauseMs, ended);
      throw new TailraceError("cutover.late", {
        what: `Writes have waited for ${this.parts.limits.pauseMs} ms, which is as long as they may`,
      });
    });
    this.#watch(async (ended) => {
      for (;;) {
        await this.parts.clock.delay(askEveryMs, ended);
        if (await this.session.abortAsked()) throw new TailraceError("cutover.aborted", { what: "The cutover was asked to be given up" });
      }
    });
  }

  /** The fence is leased from here on. */
  renewing(): void {
    const { clock, group, limits } = this.parts;
    const { fence, marker } = this.held;
    this.#watch(async (ended) => {
      for (;;) {
        await clock.delay(limits.leaseMs / 3, ended);
        await fence.renew(group, marker, limits.leaseMs);
      }
    });
  }

  /** What a wait that was aborted has to say is why. */
  async explaining<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (thrown) {
      if (isAbort(thrown)) this.#reason.signal.throwIfAborted();
      throw thrown;
    }
  }

  /** Nothing is aborted any more. Throws what was found while it watched. */
  async stop(): Promise<void> {
    this.#ended.abort();
    await Promise.all(this.#tasks);
    this.#reason.signal.throwIfAborted();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort();
    await Promise.all(this.#tasks);
  }

  #watch(task: (ended: AbortSignal) => Promise<void>): void {
    const watched = task(this.#ended.signal).catch((thrown: unknown) => {
      if (!(this.#ended.signal.aborted && isAbort(thrown))) this.#reason.abort(asTailraceError(thrown));
    });
    this.#tasks.push(watched);
  }
}
