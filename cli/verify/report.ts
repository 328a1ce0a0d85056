/** A run's result as a table, and as the data that scripts read. */
import type { TableResult } from "../../core/contracts/verification.js";
import { unreachable } from "../../core/vocabulary/unreachable.js";
import { type ExitCode, exits } from "../exit-codes.js";
import { formatCount, formatMs } from "../output/format.js";
import type { Paint } from "../output/output.js";
import { cell, renderTable } from "../output/table.js";

export type Outcome = "equal" | "different" | "unsettled" | "unfinished";

export const differentRows = ({ missing, extra, changed }: TableResult): number => missing + extra + changed;
export const sum = (tables: readonly TableResult[], of: (table: TableResult) => number): number =>
  tables.reduce((total, table) => total + of(table), 0);

export function outcomeOf(tables: readonly TableResult[]): Outcome {
  if (sum(tables, differentRows) > 0) return "different";
  if (sum(tables, ({ unsettled }) => unsettled) > 0) return "unsettled";
  return tables.every(({ state }) => state === "done") ? "equal" : "unfinished";
}

export function exitOf(outcome: Outcome): ExitCode {
  switch (outcome) {
    case "equal":
      return exits.done;
    case "different":
      return exits.differ;
    case "unsettled":
    case "unfinished":
      return exits.halfWay;
    default:
      return unreachable(outcome);
  }
}

export const perSecond = (rows: number, ms: number): number => (ms <= 0 ? 0 : Math.round((rows / ms) * 1000));

export function tableData(result: TableResult): Readonly<Record<string, unknown>> {
  const { table, state, rows, chunks, equalChunks, missing, extra, changed, unsettled, ms } = result;
  return { table, state, outcome: outcomeOf([result]), rows, chunks, equalChunks, missing, extra, changed, unsettled, ms };
}

export function outcomeText(outcome: Outcome, paint: Paint): string {
  const colours = { equal: paint.green, different: paint.red, unsettled: paint.yellow, unfinished: paint.dim };
  return colours[outcome](outcome.toUpperCase());
}

export function resultTable(tables: readonly TableResult[], paint: Paint): string {
  const columns = ["ROWS", "RANGES", "MISSING", "EXTRA", "CHANGED", "UNSETTLED", "TIME", "ROWS/S"].map((title) => ({ title, right: true }));
  const rows = tables.map((result) => [
    cell(result.table),
    outcomeText(outcomeOf([result]), paint),
    formatCount(result.rows),
    result.equalChunks === result.chunks
      ? formatCount(result.chunks)
      : `${formatCount(result.equalChunks)} of ${formatCount(result.chunks)}`,
    formatCount(result.missing),
    formatCount(result.extra),
    formatCount(result.changed),
    formatCount(result.unsettled),
    formatMs(result.ms),
    formatCount(perSecond(result.rows, result.ms)),
  ]);
  return renderTable([{ title: "TABLE" }, { title: "" }, ...columns], rows, paint);
}
