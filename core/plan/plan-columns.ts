/** Columns of one table: names, types, conversions, constants, from settings, declarations and profile. */
import type { ColumnPlan, Conversion, TablePlan } from "../contracts/plan.js";
import type { ColumnProfile } from "../contracts/source.js";
import { compileConvert, isTimeType } from "../mapping/converter.js";
import { keepsOrder, keyGroup, onlyGroup } from "../mapping/key-class.js";
import { formatType, parseType, type PostgresType } from "../mapping/postgres-type.js";
import type { ColumnSettings, TableSettings, TimeForm } from "../settings.js";
import type { ColumnDescription, StorageClass, TableDescription } from "../vocabulary/table.js";
import { chooseType } from "./default-types.js";
import type { Finding } from "./finding.js";
import { columnFault, foldCase } from "./names.js";
import { nearestName } from "./nearest.js";

/** A finding of the table in hand. */
export type Report = (finding: Omit<Finding, "table">) => void;

export interface ColumnsRequest {
  readonly table: TableDescription;
  readonly profiles: readonly ColumnProfile[];
  readonly settings: TableSettings | undefined;
  /** The table's plan as it is applied, for constants that were fixed then. */
  readonly applied: TablePlan | undefined;
  readonly now: Date;
}

export interface PlannedColumns {
  readonly columns: readonly ColumnPlan[];
  readonly dropped: readonly string[];
}

export function planColumns(report: Report, request: ColumnsRequest): PlannedColumns {
  const settings = request.settings?.columns ?? new Map<string, ColumnSettings>();
  refuseUnknown(report, request.table, settings);
  const columns: ColumnPlan[] = [];
  const dropped: string[] = [];
  for (const [index, column] of request.table.columns.entries()) {
    const wish = settings.get(column.name);
    const isKey = request.table.key.includes(index);
    if (wish === undefined || wish.kind === "map") {
      const profile = request.profiles.find((candidate) => candidate.column === column.name);
      const applied = request.applied?.columns.find((candidate) => candidate.source === column.name);
      columns.push(planColumn(report, { column, profile, wish, isKey, applied }));
      continue;
    }
    dropped.push(column.name);
    if (isKey) report(keyDropped(column.name));
  }
  for (const [name, wish] of settings) {
    if (wish.kind === "constant") columns.push(planConstant(report, name, wish, request));
  }
  refuseNames(report, columns);
  return { columns, dropped };
}

const keyDropped = (column: string): Omit<Finding, "table"> => ({
  severity: "error",
  code: "plan.refused",
  column,
  what: `Column '${column}' is part of the key and cannot be left out`,
  remedy: "Take `drop` or `constant` off this column",
});

function refuseUnknown(report: Report, table: TableDescription, settings: ReadonlyMap<string, ColumnSettings>): void {
  const known = table.columns.map((column) => column.name);
  for (const [name, wish] of settings) {
    if (wish.kind === "constant" || known.includes(name)) continue;
    const near = nearestName(name, known);
    report({
      severity: "error",
      code: "plan.refused",
      column: name,
      what: `The settings name a column '${name}' that the table does not have`,
      remedy: near === null ? `Its columns are: ${known.join(", ")}` : `Did you mean '${near}'?`,
    });
  }
}

interface ColumnRequest {
  readonly column: ColumnDescription;
  readonly profile: ColumnProfile | undefined;
  readonly wish: (ColumnSettings & { readonly kind: "map" }) | undefined;
  readonly isKey: boolean;
  readonly applied: ColumnPlan | undefined;
}

function planColumn(report: Report, request: ColumnRequest): ColumnPlan {
  const { column, profile, wish, isKey, applied } = request;
  const { type, conversion } = typeOf(report, request);
  if (isKey) checkKey(report, column, type, profile);
  return {
    source: column.name,
    target: wish?.to ?? column.name,
    type: formatType(type),
    // A column can be declared NOT NULL and hold NULL all the same; the rows count, those of an earlier plan too.
    nullable: !isKey && (column.nullable || (profile?.nulls ?? 0) > 0 || applied?.nullable === true),
    conversion,
    written: "always",
    constant: null,
  };
}

const text: PostgresType = { kind: "text" };
const moment: PostgresType = { kind: "timestamp", precision: null, zone: true };

function typeOf(report: Report, request: ColumnRequest): { readonly type: PostgresType; readonly conversion: Conversion } {
  const { column, profile, wish, isKey, applied } = request;
  if (wish?.type === undefined || (wish.type === null && wish.from === null)) {
    const before = applied === undefined ? null : parseType(applied.type);
    // A default is decided once: the rows that came since may suggest another type, but the target's column has this one.
    if (applied !== undefined && before !== null) {
      reportExplicit(report, column, before, profile);
      return { type: before, conversion: applied.conversion };
    }
    const choice = chooseType(column, profile, isKey);
    const type = parseType(choice.type) ?? text;
    if (choice.why !== null) reportChoice(report, column, formatType(type), choice.why, profile);
    if (choice.refused > 0) reportRefused(report, column, type, choice.refused, profile);
    return { type, conversion: choice.conversion };
  }
  const type = wish.type === null ? moment : parseType(wish.type);
  if (type === null) {
    report({
      severity: "error",
      code: "plan.refused",
      column: column.name,
      what: `'${wish.type ?? ""}' is not a PostgreSQL type`,
      remedy: "Write it as PostgreSQL does: bigint, numeric(10,2), text, timestamptz, …",
    });
    return { type: text, conversion: { kind: "as-is" } };
  }
  if (wish.from !== null && !isTimeType(type)) {
    report({
      severity: "error",
      code: "plan.refused",
      column: column.name,
      what: `'from' says how time is written, and ${formatType(type)} is no moment`,
      remedy: "Give the column the type timestamptz, timestamp or date, or leave `from` out",
    });
  }
  reportExplicit(report, column, type, profile);
  return { type, conversion: conversionOf(wish.from, type) };
}

const forms: Readonly<Record<TimeForm, Conversion>> = {
  "epoch-s": { kind: "epoch", unit: "s" },
  "epoch-ms": { kind: "epoch", unit: "ms" },
  "epoch-us": { kind: "epoch", unit: "us" },
  iso: { kind: "iso" },
  "julian-day": { kind: "julian-day" },
};

function conversionOf(from: TimeForm | null, type: PostgresType): Conversion {
  if (from !== null) return forms[from];
  return isTimeType(type) ? { kind: "iso" } : { kind: "as-is" };
}

function reportChoice(report: Report, column: ColumnDescription, type: string, why: string, profile: ColumnProfile | undefined): void {
  const declared = column.declaredType === "" ? "without a declared type" : `declared ${column.declaredType}`;
  report({
    severity: profile !== undefined && profile.nulls === profile.rows ? "warning" : "note",
    code: profile !== undefined && profile.nulls === profile.rows ? "column.empty" : "type.chosen",
    column: column.name,
    what: `Column '${column.name}', ${declared}, becomes ${type}: ${why}`,
    remedy: timeHint(column, profile) ?? "Set `type` for the column if it should be another",
  });
}

/** Numbers in a column that is declared as time: the unit can be told from their size, but only a person can know. */
function timeHint(column: ColumnDescription, profile: ColumnProfile | undefined): string | null {
  if (!/DATE|TIME/i.test(column.declaredType) || profile?.integerMin === undefined || profile.integerMin === null) return null;
  const digits = profile.integerMin.toString().replace("-", "").length;
  const unit = digits >= 15 ? "epoch-us" : digits >= 12 ? "epoch-ms" : "epoch-s";
  return `Set \`type: timestamptz\` and, if its numbers count time, \`from: ${unit}\``;
}

/** Even the default refuses values of today. */
function reportRefused(
  report: Report,
  column: ColumnDescription,
  type: PostgresType,
  count: number,
  profile: ColumnProfile | undefined,
): void {
  const nul = type.kind === "text" && (profile?.textWithNul ?? 0) > 0;
  report({
    severity: "error",
    code: type.kind !== "text" ? "value.type" : nul ? "value.nul" : "value.encoding",
    column: column.name,
    what: `No type holds all values of column '${column.name}': ${formatType(type)} refuses ${count} of them`,
    remedy: "Mend these values at the source, or leave the column out (`drop: true`)",
    count,
  });
}

/** What a profile can say about a type somebody chose; the census counts the rest exactly. */
function reportExplicit(report: Report, column: ColumnDescription, type: PostgresType, profile: ColumnProfile | undefined): void {
  if (profile === undefined) return;
  const refused = (code: "value.nul" | "value.encoding" | "value.type", count: number, what: string): void => {
    if (count === 0) return;
    report({
      severity: "error",
      code,
      column: column.name,
      what: `${count} values of column '${column.name}' ${what}`,
      remedy: remedy(code),
      count,
    });
  };
  const count = (storage: StorageClass): number => profile.classes[storage] ?? 0;
  if (type.kind === "bytea") {
    refused("value.type", count("integer") + count("real"), "are numbers, which bytea does not take");
    return;
  }
  refused("value.encoding", count("raw"), "are text that is not UTF-8");
  if (type.kind !== "uuid") refused("value.type", count("blob"), `are BLOBs, which ${formatType(type)} does not take`);
  if (type.kind === "text" || type.kind === "varchar") refused("value.nul", profile.textWithNul, "hold a NUL character");
}

const remedy = (code: "value.nul" | "value.encoding" | "value.type"): string =>
  code === "value.type"
    ? "Give the column another `type`, or mend the values at the source"
    : "Map the column to `bytea`, or mend the values";

function checkKey(report: Report, column: ColumnDescription, type: PostgresType, profile: ColumnProfile | undefined): void {
  const seen: readonly StorageClass[] = profile === undefined ? column.classes : classesSeen(profile);
  if (seen.length > 0 && onlyGroup(seen) === null) {
    report({
      severity: "error",
      code: "plan.key-order",
      column: column.name,
      what: `The key column '${column.name}' holds numbers, text or BLOBs side by side, which no one target type tells apart and sorts alike`,
      remedy: "Give all keys one storage class at the source, or leave the table out",
    });
  } else if (!keepsOrder(onlyGroup(seen) ?? keyGroup(column, type), type)) {
    report({
      severity: "error",
      code: "plan.key-order",
      column: column.name,
      what: `As ${formatType(type)} the keys in column '${column.name}' would not sort, or not stay apart, as they do at the source`,
      remedy: "Map it to a type that sorts alike: integers to bigint, text to text (or uuid in lower case), BLOBs to bytea",
    });
  }
}

export const classesSeen = (profile: ColumnProfile): readonly StorageClass[] =>
  (["integer", "real", "text", "blob", "raw", "boolean", "decimal"] as const).filter((storage) => (profile.classes[storage] ?? 0) > 0);

function planConstant(
  report: Report,
  name: string,
  wish: ColumnSettings & { readonly kind: "constant" },
  request: ColumnsRequest,
): ColumnPlan {
  const isFixed = wish.value === null || typeof wish.value === "string";
  const value = wish.value === null || typeof wish.value === "string" ? wish.value : fixedRunStart(name, request);
  const type = wish.type === null ? (isFixed ? text : moment) : parseType(wish.type);
  if (type === null || (value !== null && !isInputOf(type, value))) {
    report({
      severity: "error",
      code: "plan.refused",
      column: name,
      what: type === null ? `'${wish.type ?? ""}' is not a PostgreSQL type` : `The constant of column '${name}' is no ${formatType(type)}`,
      remedy: "Mend `constant` or `type` of this column",
    });
  }
  if (request.table.columns.some((column) => column.name === name)) {
    report({
      severity: "note",
      code: "column.dropped",
      column: name,
      what: `The constant takes the place of the source's column '${name}', which is not carried over`,
      remedy: "",
    });
  }
  return {
    source: null,
    target: name,
    type: formatType(type ?? text),
    nullable: true,
    conversion: { kind: "as-is" },
    written: "insert",
    constant: value,
  };
}

/** A run starts once: what an earlier `apply` wrote stays. */
function fixedRunStart(name: string, request: ColumnsRequest): string {
  const before = request.applied?.columns.find((column) => column.source === null && column.target === name)?.constant;
  return before ?? request.now.toISOString().replace("T", " ").replace("Z", "+00");
}

/** bytea constants are written in PostgreSQL's own form, which is not what a source's text would mean. */
function isInputOf(type: PostgresType, value: string): boolean {
  if (type.kind === "bytea") return /^\\x(?:[0-9a-fA-F]{2})*$/.test(value);
  return typeof compileConvert(type, { kind: "as-is" })(value) === "string";
}

function refuseNames(report: Report, columns: readonly ColumnPlan[]): void {
  const byFold = new Map<string, ColumnPlan>();
  for (const column of columns) {
    const fault = columnFault(column.target);
    const said = column.source ?? column.target;
    if (fault !== null) {
      report({
        severity: "error",
        code: "plan.refused",
        column: said,
        what: `Column '${said}' cannot be named '${column.target}' at the target: ${fault}`,
        remedy: "Give it another name (`to`)",
      });
    }
    const twin = byFold.get(foldCase(column.target));
    if (twin !== undefined) {
      report({
        severity: "error",
        code: "plan.refused",
        column: said,
        what: `Two columns would be named '${column.target}' at the target: '${twin.source ?? twin.target}' and '${said}'`,
        remedy: "Give one of them another name (`to`)",
      });
    }
    byFold.set(foldCase(column.target), column);
  }
}
