/**
 * How both sides name a row: by the canonical form of its mapped key, and by its key in the source's form, which alone the source understands.
 *
 * From the target's text of a key back to the source's value there is a way because keys are mapped one-to-one (key-class.ts). The value comes out
 * equal, not always in the same storage class (a REAL 1.0 of an untyped column as INTEGER 1), which finds the same row.
 */
import { hash } from "node:crypto";
import type { ColumnPlan, TablePlan } from "../contracts/plan.js";
import { unreachable } from "../vocabulary/unreachable.js";
import type { TableDescription } from "../vocabulary/table.js";
import { type Key, keyText, type Value } from "../vocabulary/value.js";
import { textOfBytes } from "./back-convert.js";
import { canonicalForm, canonicalValue, type CanonicalForm } from "./canonical.js";
import { keyGroup } from "./key-class.js";
import type { TableMapping } from "./mapped.js";
import { parseType, type PostgresType } from "./postgres-type.js";
import { readPrinted } from "./iso.js";

export interface RowNames {
  /** Of a key in source form. A key that cannot be mapped has a name of its own, which nothing at the target has. */
  ofSource(key: Key): string;
  /** Of the key columns as PostgreSQL prints them, in key order. */
  ofTarget(texts: readonly (string | null)[]): { readonly key: Key; readonly id: string };
}

/** Names may be as long as keys; this one is short, and holds no character that a store refuses. */
export const idHash = (id: string): string => hash("md5", id, "hex");

interface KeyColumn {
  readonly form: CanonicalForm;
  readonly back: (text: string) => Value;
}

export function compileRowNames(plan: TablePlan, table: TableDescription, mapping: TableMapping): RowNames {
  const columns = plan.key.map((target, i) => keyColumn(plan, table, target, i));
  const idOf = (texts: readonly (string | null)[]): string =>
    columns.map(({ form }, i) => canonicalValue(form, texts[i] ?? null)).join("|");
  return {
    ofSource: (key) => {
      const mapped = mapping.mapKey(key);
      return mapped.kind === "row" ? idOf(mapped.row) : `!${keyText(key)}`;
    },
    ofTarget: (texts) => ({ key: columns.map(({ back }, i) => back(texts[i] ?? "")), id: idOf(texts) }),
  };
}

function keyColumn(plan: TablePlan, table: TableDescription, target: string, i: number): KeyColumn {
  const column = plan.columns.find((candidate) => candidate.target === target);
  const description = table.columns[table.key[i] ?? -1];
  const type = column === undefined ? null : parseType(column.type);
  if (column === undefined || description === undefined || type === null) throw new Error(`the plan has no key column '${target}'`);
  const group = keyGroup(description, type);
  const { classes } = description;
  // Sources with declared types write exact numbers as text, and have booleans.
  if (classes.includes("decimal")) return { form: canonicalForm(type), back: (text) => text };
  if (classes.includes("boolean")) return { form: canonicalForm(type), back: (text) => text.startsWith("t") };
  return { form: canonicalForm(type), back: (text) => backwards(type, group, column, text) };
}

function backwards(type: PostgresType, group: "number" | "text" | "blob", { conversion }: ColumnPlan, text: string): Value {
  switch (type.kind) {
    case "smallint":
    case "integer":
    case "bigint":
      return BigInt(text);
    case "numeric":
      return /^-?\d+(\.0*)?$/.test(text) ? BigInt(text.replace(/\..*/, "")) : Number(text);
    case "double precision":
      return Number(text);
    case "real":
      return Math.fround(Number(text));
    case "boolean":
      return text.startsWith("t") ? 1n : 0n;
    case "bytea":
    case "uuid": {
      const bytes = Uint8Array.from(Buffer.from(text.replace(/^\\x/, "").replaceAll("-", ""), "hex"));
      if (group === "blob") return bytes;
      return type.kind === "uuid" ? text : textOfBytes(bytes);
    }
    case "date":
    case "timestamp":
      if (conversion.kind === "counted") return countedOf(text, conversion.unit);
      return conversion.kind === "epoch" ? epochOf(text, conversion.unit) : julianDayOf(text);
    case "text":
    case "varchar":
    case "char":
    case "json":
    case "jsonb":
    case "time":
    case "other":
      return text;
    default:
      return unreachable(type);
  }
}

const perSecond = { s: 1n, ms: 1_000n, us: 1_000_000n } as const;

/** A moment finer than the unit, which no row of the source can have, becomes the number below it. */
function epochOf(text: string, unit: "s" | "ms" | "us"): Value {
  const at = momentOf(text);
  return BigInt(at.seconds) * perSecond[unit] + (BigInt(at.micros) * perSecond[unit]) / 1_000_000n;
}

/** The largest and the smallest number mean infinity. */
function countedOf(text: string, unit: "d" | "us" | "ns"): Value {
  if (text.endsWith("infinity")) return (unit === "d" ? 2n ** 31n - 1n : 2n ** 63n - 1n) * (text.startsWith("-") ? -1n : 1n);
  const { seconds, micros } = momentOf(text);
  if (unit === "d") return BigInt(seconds / 86_400);
  const inMicros = BigInt(seconds) * 1_000_000n + BigInt(micros);
  return unit === "us" ? inMicros : inMicros * 1_000n;
}

const julianDayOf1970 = 2_440_587.5;

function julianDayOf(text: string): Value {
  const at = momentOf(text);
  return julianDayOf1970 + (at.seconds + at.micros / 1_000_000) / 86_400;
}

function momentOf(text: string): { readonly seconds: number; readonly micros: number } {
  const printed = readPrinted(text) ?? readPrinted(text.replace(/^(\S+)( BC)?$/, "$1 00:00:00$2"));
  return printed ?? { seconds: 0, micros: 0 };
}
