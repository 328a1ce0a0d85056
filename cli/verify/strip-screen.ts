/** A running verification on stderr: one heat strip per table on a terminal, else a line now and then. */
import { createLogUpdate } from "log-update";
import type { ChunkProof, ProofState, TableResult } from "../../core/contracts/verification.js";
import { printable } from "../../core/errors.js";
import type { TableId } from "../../core/vocabulary/ids.js";
import { systemClock } from "../../core/clock.js";
import { formatCount } from "../output/format.js";
import type { Output } from "../output/output.js";
import { heatStrip, legend } from "./heat-strip.js";
import { differentRows, sum } from "./report.js";

const lineEveryMs = 5_000;
const tablesMost = 20;

export class StripScreen {
  readonly #update: ReturnType<typeof createLogUpdate> | null;
  readonly #states = new Map<TableId, ProofState[]>();
  #saidMs: number;

  constructor(
    private readonly out: Output,
    private readonly watch: boolean,
  ) {
    const live = watch && out.progress === "live" && !out.quiet && out.streams.stderr.isTTY === true;
    this.#update = live ? createLogUpdate(out.streams.stderr as NodeJS.WriteStream) : null;
    this.#saidMs = systemClock.monotonicMs();
  }

  chunk({ table, number, state }: ChunkProof): void {
    const states = this.#states.get(table) ?? [];
    states[number] = state;
    this.#states.set(table, states);
  }

  show(results: readonly TableResult[]): void {
    if (this.#update !== null) {
      this.#update(this.render(results).join("\n"));
      return;
    }
    this.out.event("verify", { tables: results });
    const nowMs = systemClock.monotonicMs();
    if (nowMs - this.#saidMs < lineEveryMs || this.out.progress === "json") return;
    this.#saidMs = nowMs;
    const done = results.filter(({ state }) => state === "done").length;
    const rows = sum(results, (one) => one.rows);
    this.out.note(
      `compared ${formatCount(rows)} rows, ${done} of ${results.length} tables done, ${sum(results, differentRows)} rows differ`,
    );
  }

  render(results: readonly TableResult[]): readonly string[] {
    const paint = this.out.paintError;
    const shown = results.filter(({ state }) => state !== "waiting").slice(-tablesMost);
    const width = Math.min(24, Math.max(5, ...shown.map(({ table }) => table.length)));
    const strips = shown.map((result) => {
      const states = this.#states.get(result.table) ?? [];
      const total = result.state === "done" ? states.length : states.length + 1;
      return `  ${printable(result.table).slice(0, width).padEnd(width)} ${heatStrip(states, total, paint)} ${formatCount(result.rows)}`;
    });
    return this.watch ? [...strips, `  ${legend(paint)}`] : strips;
  }

  leave(): void {
    this.#update?.done();
  }
}
