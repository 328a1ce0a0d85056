/** The demo on a terminal: finished steps stay above, the one in hand is painted over below. Without a terminal: a line per step. */
import { createLogUpdate } from "log-update";
import type { Clock } from "../../core/clock.js";
import { formatMs } from "../output/format.js";
import type { Output } from "../output/output.js";

const frames = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const nameWidth = 22;
const plainEveryMs = 5_000;

export class Stage {
  readonly #update: ReturnType<typeof createLogUpdate> | null;
  #step: { readonly name: string; readonly startedMs: number; lastPlainMs: number } | null = null;
  #frame = 0;

  constructor(
    private readonly out: Output,
    private readonly clock: Clock,
  ) {
    const live = out.progress === "live" && !out.quiet && out.streams.stderr.isTTY === true;
    this.#update = live ? createLogUpdate(out.streams.stderr as NodeJS.WriteStream) : null;
  }

  title(text: string): void {
    const { bold } = this.out.paintError;
    this.out.note(this.#update === null ? text : `\n${bold(text)}\n`);
  }

  /** Runs one step; `say` shows how far it is. The line that stays is what it returns. */
  async step<T>(name: string, work: (say: (text: string) => void) => Promise<{ readonly said: string; readonly value: T }>): Promise<T> {
    const startedMs = this.clock.monotonicMs();
    this.#step = { name, startedMs, lastPlainMs: startedMs };
    this.#paint("");
    try {
      const { said, value } = await work((text) => this.#paint(text));
      this.#end(this.out.paintError.green("✔"), name, said, startedMs);
      this.out.event("step", { name, said, ms: Math.round(this.clock.monotonicMs() - startedMs) });
      return value;
    } catch (thrown) {
      this.#end(this.out.paintError.red("✘"), name, "", startedMs);
      throw thrown;
    } finally {
      this.#step = null;
    }
  }

  #paint(text: string): void {
    const step = this.#step;
    if (step === null) return;
    const nowMs = this.clock.monotonicMs();
    if (this.#update !== null) {
      const { cyan, dim } = this.out.paintError;
      this.#frame += 1;
      this.#update(
        `  ${cyan(frames[this.#frame % frames.length] ?? "")} ${step.name.padEnd(nameWidth)} ${text}  ${dim(formatMs(nowMs - step.startedMs))}`,
      );
    } else if (text !== "" && nowMs - step.lastPlainMs > plainEveryMs && this.out.progress === "plain") {
      step.lastPlainMs = nowMs;
      this.out.note(`  ... ${step.name.padEnd(nameWidth)} ${text}`);
    }
  }

  #end(mark: string, name: string, said: string, startedMs: number): void {
    const { dim } = this.out.paintError;
    this.#update?.clear();
    if (this.out.progress === "json") return;
    this.out.note(`  ${mark} ${name.padEnd(nameWidth)} ${said}  ${dim(formatMs(this.clock.monotonicMs() - startedMs))}`);
  }
}
