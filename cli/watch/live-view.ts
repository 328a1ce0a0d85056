/** A pipeline's view kept on the screen. Without a terminal: one line when something has changed, at most every ten seconds. */
import { createLogUpdate } from "log-update";
import type { Clock } from "../../core/clock.js";
import { printable } from "../../core/errors.js";
import { formatCount, formatMs } from "../output/format.js";
import type { Paint } from "../output/output.js";
import { PaceKeeper } from "./pace.js";
import type { PipelineView } from "./pipeline-view.js";
import { type Paces, renderView, snapshotSums } from "./render-view.js";

type Stream = NodeJS.WritableStream & { readonly isTTY?: boolean };
const lineEveryMs = 10_000;

export class LiveView {
  readonly #update: ReturnType<typeof createLogUpdate> | null;
  readonly #changes = new PaceKeeper();
  readonly #snapshot = new PaceKeeper();
  #lastLine = { text: "", atMs: Number.NEGATIVE_INFINITY };

  constructor(
    private readonly stream: Stream,
    private readonly paint: Paint,
    private readonly clock: Clock,
  ) {
    this.#update = stream.isTTY === true ? createLogUpdate(stream as NodeJS.WriteStream) : null;
  }

  show(view: PipelineView, below = ""): void {
    const paces = this.#note(view);
    if (this.#update !== null) this.#update(`${renderView(view, this.paint, paces)}${below === "" ? "" : `\n${below}`}`);
    else this.#line(shortLine(view, paces));
  }

  /** A line that stays, above the screen. */
  log(line: string): void {
    this.#update?.clear();
    this.stream.write(`${line}\n`);
  }

  /** Takes the screen away, as if it had never been there. */
  clear(): void {
    this.#update?.clear();
  }

  /** Leaves the last screen standing. */
  leave(): void {
    this.#update?.done();
  }

  #note(view: PipelineView): Paces {
    const nowMs = this.clock.monotonicMs();
    const taken = view.tables.reduce((sum, table) => sum + (table.taken ?? 0), 0);
    const sums = snapshotSums(view.tables);
    return {
      changes: view.tables.length === 0 ? null : this.#changes.note(nowMs, taken, null),
      snapshot: sums === null ? null : this.#snapshot.note(nowMs, sums.read, sums.total),
    };
  }

  #line(text: string): void {
    const nowMs = this.clock.monotonicMs();
    if (text === this.#lastLine.text || nowMs - this.#lastLine.atMs < lineEveryMs) return;
    this.#lastLine = { text, atMs: nowMs };
    this.stream.write(`${text}\n`);
  }
}

/** One line for a log: what a person would read off the screen first. */
export function shortLine(view: PipelineView, paces: Paces): string {
  const parts = [`${view.pipeline} ${view.state}`, `behind ${formatCount(view.behind.changes)} changes, ${formatMs(view.behind.ms)}`];
  const sums = snapshotSums(view.tables);
  if (sums !== null)
    parts.push(`copied ${formatCount(sums.read)}${sums.total === null ? "" : ` of about ${formatCount(sums.total)}`} rows`);
  const eta = paces.snapshot?.eta ?? null;
  if (eta !== null) parts.push(`done in ${formatMs(eta.leastMs)} to ${formatMs(eta.mostMs)}`);
  for (const { service, state, why } of view.services) {
    if (state !== "running") parts.push(`${service} ${state}${why === null ? "" : `: ${printable(why)}`}`);
  }
  return parts.join("; ");
}
