/** A cutover on a terminal: steps that have ended stay, the one in hand is painted below with what it waits for. Elsewhere: a line per step. */
import { createLogUpdate } from "log-update";
import { type CutoverKind, stateMeaning } from "../../core/cutover/states.js";
import { describeError } from "../../core/errors.js";
import { unreachable } from "../../core/vocabulary/unreachable.js";
import type { CutoverProgress } from "../../services/cutover/parts.js";
import { formatCount, formatMs } from "../output/format.js";
import type { Output } from "../output/output.js";

const repaintMs = 50;

export class Stepper implements Disposable {
  readonly #update: ReturnType<typeof createLogUpdate> | null;
  #paintedMs = 0;
  #pausedFromMs: number | null = null;

  constructor(
    private readonly out: Output,
    private readonly kind: CutoverKind = "cutover",
  ) {
    const live = out.progress === "live" && !out.quiet && out.streams.stderr.isTTY === true;
    this.#update = live ? createLogUpdate(out.streams.stderr as NodeJS.WriteStream) : null;
  }

  readonly tell = (progress: CutoverProgress): void => {
    const { dim, green, yellow, bold } = this.out.paintError;
    switch (progress.kind) {
      case "begins":
        this.#pausedFromMs = progress.sinceMs === null ? null : performance.now() - progress.sinceMs;
        this.out.event("step", { step: progress.step, state: "begins" });
        this.#paint(`${yellow("●")} ${bold(progress.step.padEnd(10))} ${dim(stateMeaning(progress.step, this.kind))}`, true);
        return;
      case "lag":
        this.#paint(
          `${yellow("●")} ${bold("draining".padEnd(10))} ${formatCount(progress.behind)} changes to go; the target is at ${progress.applied}${this.#waiting()}`,
          false,
        );
        return;
      case "ended":
        this.out.event("step", { step: progress.step, state: "ended", ms: progress.ms });
        this.#keep(
          `${green("✔")} ${progress.step.padEnd(10)} ${formatMs(progress.ms).padStart(8)}  ${dim(progress.said)}${progress.step === "switched" ? "" : dim(this.#waiting())}`,
        );
        return;
      case "trouble":
        this.out.event("trouble", { code: progress.error.code, message: progress.error.message });
        this.#keep(`${yellow("!")} ${describeError(progress.error)}`);
        return;
      default:
        unreachable(progress);
    }
  };

  [Symbol.dispose](): void {
    this.#update?.clear();
    this.#update?.done();
  }

  #waiting(): string {
    return this.#pausedFromMs === null ? "" : `   writes wait for ${formatMs(performance.now() - this.#pausedFromMs)}`;
  }

  #paint(text: string, atOnce: boolean): void {
    const nowMs = performance.now();
    if (this.#update === null || (!atOnce && nowMs - this.#paintedMs < repaintMs)) return;
    this.#paintedMs = nowMs;
    this.#update(text);
  }

  #keep(text: string): void {
    this.#update?.clear();
    this.out.note(text);
  }
}
