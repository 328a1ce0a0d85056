/** How the file spells moments that it keeps as text, by column: looked at in the rows that are there, since nothing declares it. */
import type { TablePlan } from "../../../core/contracts/plan.js";
import { parseType } from "../../../core/mapping/postgres-type.js";
import { type TimeStyle, timeStyleOf } from "../../../core/mapping/time-style.js";
import type { TableDescription } from "../../../core/vocabulary/table.js";
import type { Database } from "../database.js";
import { quoteName } from "../quote.js";

const rowsLookedAt = 500;

export function readStyles(database: Database, plan: TablePlan, { table }: TableDescription): ReadonlyMap<string, TimeStyle> {
  const styles = new Map<string, TimeStyle>();
  for (const { source, type, conversion } of plan.columns) {
    if (source === null || parseType(type)?.kind !== "timestamp" || (conversion.kind !== "iso" && conversion.kind !== "as-is")) continue;
    const column = quoteName(source);
    const texts = database
      .prepare(`SELECT ${column} FROM ${quoteName(table)} WHERE typeof(${column}) = 'text' LIMIT ?`)
      .pluck()
      .all(rowsLookedAt) as string[];
    styles.set(source, timeStyleOf(texts));
  }
  return styles;
}
