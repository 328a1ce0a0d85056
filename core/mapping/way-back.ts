/**
 * The mapping read backwards, compiled from the same plan: what PostgreSQL says of a row becomes values of the source.
 *
 * Promises: a value of the source that already says what PostgreSQL says is alike and is to be left alone, whatever its spelling and storage class, so
 * rows that nobody changed stay byte for byte what they were. `back` answers a value that maps to the text again or refuses; whether the source
 * has stored it so (its columns convert) is asked by `alike` once more.
 */
import type { TablePlan } from "../contracts/plan.js";
import { TailraceError } from "../errors.js";
import type { TableDescription } from "../vocabulary/table.js";
import { isRawText, type Value } from "../vocabulary/value.js";
import { compileBack } from "./back-convert.js";
import { type CanonicalForm, canonicalForm, canonicalValue } from "./canonical.js";
import { compileConvert } from "./converter.js";
import { strictConvert } from "./key-class.js";
import { type Convert, type Refused, refused } from "./mapped.js";
import { floatText } from "./numbers.js";
import { parseType } from "./postgres-type.js";
import { sqliteStyle, type TimeStyle } from "./time-style.js";

/** One column that the source has. */
export interface BackColumn {
  readonly target: string;
  readonly source: string;
  /** Does the source's value say what PostgreSQL's text says? */
  alike(value: Value, text: string | null): boolean;
  back(text: string | null): Value | Refused;
}

/** In plan order; constants are PostgreSQL's own. Throws `plan.changed` where plan and description do not fit together. */
export function compileWayBack(
  plan: TablePlan,
  table: TableDescription,
  styles: ReadonlyMap<string, TimeStyle> = new Map(),
): readonly BackColumn[] {
  return plan.columns.flatMap((column): readonly BackColumn[] => {
    if (column.source === null) return [];
    const description = table.columns.find(({ name }) => name === column.source);
    const type = parseType(column.type);
    if (description === undefined || type === null) {
      throw new TailraceError("plan.changed", {
        what: `The source has no column '${column.source}' any more, or its type is not understood`,
        where: { table: plan.source },
      });
    }
    const convert = compileConvert(type, column.conversion);
    const forward = plan.key.includes(column.target) ? strictConvert(description, type, convert) : convert;
    const like = { classes: description.classes, style: styles.get(description.name) ?? sqliteStyle };
    const back = compileBack(type, column.conversion, like);
    const form = canonicalForm(type);
    return [
      {
        target: column.target,
        source: description.name,
        alike: (value, text) => isAlike(forward, form, value, text),
        back: (text) => (text === null ? null : back(text)),
      },
    ];
  });
}

function isAlike(forward: Convert, form: CanonicalForm, value: Value, text: string | null): boolean {
  if (value === null || text === null) return value === text;
  const mapped = forward(value);
  return typeof mapped === "string" && (mapped === text || canonicalValue(form, mapped) === canonicalValue(form, text));
}

export const isRefused = (value: Value | Refused): value is Refused => typeof value === "object" && value !== null && "code" in value;

const unknown = refused("value.no-way-back", "a value of a kind that PostgreSQL does not print");

/** The text form of a value of the stream back, which may carry PostgreSQL's text as it is or typed. */
export function postgresText(value: Value): string | null | Refused {
  if (value === null) return null;
  switch (typeof value) {
    case "string":
      return value;
    case "bigint":
      return value.toString();
    case "number":
      return floatText(value);
    case "boolean":
      return value ? "t" : "f";
    default:
      if (value instanceof Uint8Array) return `\\x${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("hex")}`;
      return isRawText(value) ? `\\x${Buffer.from(value.rawText).toString("hex")}` : unknown;
  }
}
