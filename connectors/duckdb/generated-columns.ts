/** Generated columns are not stored, and only the table's own text says which they are. */
import { quoteName } from "./duck-table.js";

export function isGenerated(tableText: string, column: string): boolean {
  const name = [quoteName(column), column].map((text) => text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|");
  // Up to GENERATED stands the type, whose commas are in parentheses.
  return new RegExp(`[(,]\\s*(?:${name})\\s+(?:\\([^)]*\\)|[^,()])*GENERATED ALWAYS AS`, "i").test(tableText);
}
