/** Figures as a table for people and as JSON for machines. */
import type { Machine } from "./machine.js";

export type Cell = string | number | null;
export interface Table {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
}
export interface Report {
  /** What was run, with sizes: one sentence each. */
  readonly setup: readonly string[];
  readonly tables: readonly Table[];
  readonly skipped: readonly string[];
  /** Everything that was measured, round by round. */
  readonly rounds: readonly unknown[];
}
export interface Printed {
  readonly bench: string;
  readonly machine: Machine;
  readonly loadAfter: readonly number[];
  readonly report: Report;
}

export function printReport(printed: Printed, asJson: boolean): void {
  process.stdout.write(asJson ? `${JSON.stringify(printed, null, 1)}\n` : text(printed));
}

function text({ bench, machine, report, loadAfter }: Printed): string {
  const { cpu, cores, memoryGiB, os, node, sqlite, load } = machine;
  const lines = [
    `bench ${bench}`,
    `${cpu}, ${cores} cores, ${memoryGiB} GiB, ${os}, Node ${node}, ${sqlite}; load ${load[0] ?? 0} before, ${loadAfter[0] ?? 0} after`,
    ...report.setup,
    ...report.skipped.map((what) => `skipped: ${what}`),
  ];
  for (const table of report.tables) lines.push("", table.title, ...aligned([table.columns, ...table.rows]));
  return `${lines.join("\n")}\n`;
}

function aligned(rows: readonly (readonly Cell[])[]): readonly string[] {
  const cells = rows.map((row) => row.map((cell) => (cell === null ? "-" : String(cell))));
  const widths = (cells[0] ?? []).map((_, i) => Math.max(...cells.map((row) => (row[i] ?? "").length)));
  return cells.map(
    (row) => `  ${row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join("   ")}`,
  );
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? upper)) / 2;
}

/** Median of the rounds, with the extremes: how far the figure can be trusted. */
export function spread(values: readonly number[], digits = 2): string {
  if (values.length === 0) return "-";
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return values.length === 1
    ? rounded(least, digits)
    : `${rounded(median(values), digits)} (${rounded(least, digits)}-${rounded(most, digits)})`;
}

export const rounded = (n: number, digits: number): string => n.toLocaleString("en-US", { maximumFractionDigits: digits });

/** Nearest rank. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))] ?? Number.NaN;
}

/** Variants take turns, and the order turns round every time: a machine that gets busier then hurts none more than the others. */
export const turns = <T>(variants: readonly T[], round: number): readonly T[] => (round % 2 === 0 ? variants : variants.toReversed());
