import CliTable from "cli-table3";
import { printable } from "../../core/errors.js";
import type { Paint } from "./output.js";

export interface Column {
  readonly title: string;
  readonly right?: boolean;
}

/** A plain table without lines: easy to read, to copy and to `grep`. Cells are made safe for a terminal, colours of our own survive. */
export function renderTable(columns: readonly Column[], rows: readonly (readonly string[])[], paint: Paint): string {
  const table = new CliTable({
    head: columns.map((column) => paint.bold(column.title)),
    colAligns: columns.map((column) => (column.right === true ? "right" : "left")),
    style: { head: [], border: [], "padding-left": 0, "padding-right": 2 },
    chars: noLines,
  });
  for (const row of rows) table.push([...row]);
  return table
    .toString()
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n");
}

/** A name from a source, for a cell. */
export const cell = (text: string): string => printable(text);

const noLines = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "",
  "mid-mid": "",
  right: "",
  "right-mid": "",
  middle: "",
};
