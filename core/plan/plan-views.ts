/** A view of the source that means the same at the target, in the names that its tables have there; or why it cannot be said. */
import type { TablePlan } from "../contracts/plan.js";
import type { SourceObject, ViewPart } from "../contracts/source.js";
import type { TableId } from "../vocabulary/ids.js";
import type { Finding } from "./finding.js";

type View = SourceObject & { readonly kind: "view" };

export function viewFinding({ name, text }: View, tables: readonly TablePlan[]): Pick<Finding, "severity" | "code" | "what" | "remedy"> {
  const found = { severity: "note", code: "source.note" } as const;
  for (const part of text) {
    if (typeof part === "string") continue;
    const fault = faultOf(part.table, tables);
    if (fault !== null) return { ...found, what: `View '${name}' is not carried over: ${fault}`, remedy: "" };
  }
  const body = joined(text, (table) => {
    const target = tables.find(({ source }) => source === table)?.target;
    return `${quoteName(target?.schema ?? "")}.${quoteName(target?.name ?? "")}`;
  });
  return {
    ...found,
    what: `View '${name}' is not made, and can be: CREATE VIEW ${quoteName(name)} AS ${body}`,
    remedy: "Run it at the target when its tables are there",
  };
}

function faultOf(table: TableId, tables: readonly TablePlan[]): string | null {
  const plan = tables.find(({ source }) => source === table);
  if (plan === undefined) return `it reads '${table}', which is not in the plan`;
  const other = plan.columns.find(({ source, target }) => source !== null && source !== target);
  if (other !== undefined) return `column '${other.source ?? ""}' of '${table}' has another name at the target`;
  return plan.dropped.length === 0 ? null : `column '${plan.dropped[0] ?? ""}' of '${table}' is not carried over`;
}

const quoteName = (name: string): string => `"${name.replaceAll('"', '""')}"`;

function joined(parts: readonly ViewPart[], nameOf: (table: TableId) => string): string {
  let text = "";
  for (const part of parts) {
    const said = typeof part === "string" ? part : `${nameOf(part.table)}${part.alias === null ? "" : ` AS ${quoteName(part.alias)}`}`;
    const isTight = text === "" || text.endsWith("(") || text.endsWith(".") || [".", ",", ")"].includes(said);
    text += isTight ? said : ` ${said}`;
  }
  return text;
}
