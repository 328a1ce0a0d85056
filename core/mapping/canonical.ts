/**
 * Canonical row form v1: one text for each value of a target type, the same wherever the value is read. PostgreSQL says it in SQL
 * (connectors/postgres/canonical-sql.ts), every other side in JavaScript from the text that the mapping gives.
 *
 * A row is its hashed columns joined by `|` in plan order, NULL being `~`; its hash is the MD5 of that text's UTF-8 bytes. Text carries its length
 * in front, so that no value can look like two.
 *
 * Accepted are both spellings of one value: the mapping's (PostgreSQL's input form) and PostgreSQL's own (`x::text` under the session settings of
 * connectors/postgres/connection.ts). Pinned by test/core/mapping/canonical.test.ts; a change of any form is a new version of the hash.
 */
import type { TablePlan } from "../contracts/plan.js";
import { unreachable } from "../vocabulary/unreachable.js";
import { firstSecond } from "./calendar.js";
import { canonicalDecimal } from "./decimal.js";
import { readPrinted } from "./iso.js";
import { canonicalJsonb } from "./jsonb-text.js";
import { parseType, type PostgresType } from "./postgres-type.js";

export const nullForm = "~";
export const fieldSeparator = "|";

export type CanonicalForm =
  /** The text as it is: integers, dates, UUIDs. It holds no separator. */
  | "plain"
  /** No exponent, no zeros behind the last digit of a fraction. */
  | "decimal"
  /** Sixteen hex digits of the IEEE 754 double; -0 is 0. `single`: of the four-byte number that the text means. */
  | "double"
  | "single"
  | "boolean"
  /** Microseconds since 1970, UTC. */
  | "instant"
  /** Lower hex, no prefix. */
  | "bytes"
  /** `<bytes>:<text>`. `padded`: without the blanks that character(n) puts behind it. */
  | "text"
  | "padded"
  /** jsonb's own text. */
  | "jsonb"
  /** As `text`, but only PostgreSQL can say which text the type prints: its input form is first read by the server. */
  | "foreign";

export function canonicalForm(type: PostgresType): CanonicalForm {
  switch (type.kind) {
    case "smallint":
    case "integer":
    case "bigint":
    case "date":
    case "uuid":
      return "plain";
    case "numeric":
      return "decimal";
    case "double precision":
      return "double";
    case "real":
      return "single";
    case "boolean":
      return "boolean";
    case "timestamp":
      return "instant";
    case "bytea":
      return "bytes";
    case "text":
    case "varchar":
    case "json":
      return "text";
    case "char":
      return "padded";
    case "jsonb":
      return "jsonb";
    case "time":
      return type.zone ? "foreign" : "text";
    case "other":
      return "foreign";
    default:
      return unreachable(type);
  }
}

/** One hashed column of a plan. */
export interface CanonicalColumn {
  /** Its place in `TablePlan.columns`, and so in a mapped row. */
  readonly place: number;
  readonly target: string;
  /** As the plan spells it. */
  readonly type: string;
  readonly form: CanonicalForm;
}

/** Columns that are in the row hash, in its order: all but those that are written on insert only. */
export function canonicalColumns(plan: TablePlan): readonly CanonicalColumn[] {
  return plan.columns.flatMap(({ target, type, written }, place) => {
    const parsed = parseType(type);
    if (written === "insert" || parsed === null) return [];
    return [{ place, target, type, form: canonicalForm(parsed) }];
  });
}

/** The canonical text of a row whose values are in text form, in the order of the columns. */
export type CanonicalRowText = (row: readonly (string | null)[]) => string;

/** `places`: the row is a mapped one, with every column of the plan; else it holds the hashed columns alone. */
export function compileRowText(columns: readonly CanonicalColumn[], rows: "mapped" | "hashed"): CanonicalRowText {
  const fields = columns.map(({ form, place }, i) => ({ place: rows === "mapped" ? place : i, write: writers[form] }));
  return (row) => {
    let text = "";
    for (let i = 0; i < fields.length; i++) {
      const field = fields[i];
      if (field === undefined) break;
      if (i > 0) text += fieldSeparator;
      const value = row[field.place];
      text += value === null || value === undefined ? nullForm : field.write(value);
    }
    return text;
  };
}

export const canonicalValue = (form: CanonicalForm, text: string | null): string => (text === null ? nullForm : writers[form](text));

const netstring = (text: string): string => `${Buffer.byteLength(text, "utf8")}:${text}`;

const writers: Readonly<Record<CanonicalForm, (text: string) => string>> = {
  plain: (text) => text,
  decimal: canonicalDecimal,
  double: (text) => doubleHex(Number(text)),
  single: (text) => doubleHex(Math.fround(Number(text))),
  boolean: (text) => (text.startsWith("t") ? "t" : "f"),
  instant: microsText,
  bytes: (text) => text.slice(2),
  text: netstring,
  padded: (text) => netstring(text.replace(/ +$/, "")),
  jsonb: canonicalJsonb,
  foreign: netstring,
};

const hexWords = Array.from({ length: 65_536 }, (_, n) => n.toString(16).padStart(4, "0"));
const double = new Float64Array(1);
const words = new Uint16Array(double.buffer);

export function doubleHex(n: number): string {
  if (n === 0) return "0000000000000000";
  if (Number.isNaN(n)) return "7ff8000000000000";
  double[0] = n;
  return `${hexWords[words[3] ?? 0]}${hexWords[words[2] ?? 0]}${hexWords[words[1] ?? 0]}${hexWords[words[0] ?? 0]}`;
}

/** 290000-01-01. Above it PostgreSQL's microseconds leave the range of a bigint, so such moments are hashed as they are printed. */
export const lastCountedSecond = 9_089_348_860_800;

function microsText(text: string): string {
  const at = readPrinted(text);
  if (at === null || at.seconds < firstSecond || at.seconds >= lastCountedSecond) return text;
  // Exact as a number up to the year 2255.
  const micros = at.seconds * 1_000_000 + at.micros;
  return Number.isSafeInteger(micros) ? micros.toString() : (BigInt(at.seconds) * 1_000_000n + BigInt(at.micros)).toString();
}
