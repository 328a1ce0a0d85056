/** All ranges of a table as one line of cells: what each was found to be, and what is not read yet. Pure. */
import type { ProofState } from "../../core/contracts/verification.js";
import type { Paint } from "../output/output.js";

export const stripWidth = 56;

/** `states`: of the ranges that were read, in key order. `total`: how many there will be, as far as anybody knows. */
export function heatStrip(states: readonly ProofState[], total: number, paint: Paint, width = stripWidth): string {
  const all = Math.max(total, states.length, 1);
  const cells = Math.min(width, all);
  let strip = "";
  for (let i = 0; i < cells; i++) {
    const from = Math.floor((i * all) / cells);
    const until = Math.max(from + 1, Math.floor(((i + 1) * all) / cells));
    strip += cellOf(states.slice(from, until), paint);
  }
  return strip;
}

/** The worst of a cell's ranges is what it shows; shape and colour say the same, for terminals without colours. */
function cellOf(states: readonly ProofState[], paint: Paint): string {
  if (states.length === 0) return paint.dim("·");
  if (states.includes("different")) return paint.red("▓");
  return states.includes("unsettled") ? paint.yellow("▒") : paint.green("█");
}

export const legend = (paint: Paint): string =>
  `${paint.green("█")} equal  ${paint.red("▓")} different  ${paint.yellow("▒")} unsettled  ${paint.dim("·")} not read yet`;
