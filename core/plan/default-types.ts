/**
 * Which target type a column gets when the settings name none: what its declaration suggests if every value of today fits it, else the
 * narrowest type that holds every value of today exactly. A default never refuses a value that is in the table, unless no type holds them
 * all (numbers beside BLOBs).
 */
import type { Conversion } from "../contracts/plan.js";
import type { ColumnProfile } from "../contracts/source.js";
import { formatType, parseType } from "../mapping/postgres-type.js";
import type { ColumnDescription, StorageClass } from "../vocabulary/table.js";

export interface TypeChoice {
  readonly type: string;
  readonly conversion: Conversion;
  /** Why it is not what the declaration says; null when it is. */
  readonly why: string | null;
  /** Values of today that even this type refuses. */
  readonly refused: number;
}

export type Affinity = "integer" | "text" | "blob" | "real" | "numeric";

/** SQLite's own rule, by parts of the declared type. */
export function affinityOf(declaredType: string): Affinity {
  const declared = declaredType.toUpperCase();
  if (declared.includes("INT")) return "integer";
  if (/CHAR|CLOB|TEXT/.test(declared)) return "text";
  if (declared === "" || declared.includes("BLOB")) return "blob";
  return /REAL|FLOA|DOUB/.test(declared) ? "real" : "numeric";
}

const asIs: Conversion = { kind: "as-is" };
const iso: Conversion = { kind: "iso" };

/** What the words of a declaration promise beyond the affinity. The profile counts how many values break the promise. */
export function suggestedTypes(declaredType: string): readonly { readonly type: string; readonly conversion: Conversion }[] {
  const declared = declaredType.trim().toUpperCase();
  if (declared.includes("BOOL")) return [{ type: "boolean", conversion: asIs }];
  if (/^DATE\b/.test(declared)) return [dateType, momentType];
  if (/DATETIME|TIMESTAMP/.test(declared)) return [momentType];
  if (declared.includes("JSON")) return [{ type: "jsonb", conversion: asIs }];
  const decimal = /^(?:DECIMAL|NUMERIC|NUMBER|MONEY)\b(.*)$/.exec(declared);
  if (decimal === null) return [];
  const type = parseType(`numeric${decimal[1] ?? ""}`);
  const unlimited = { type: "numeric", conversion: asIs };
  return type === null || type.kind !== "numeric" || type.precision === null
    ? [unlimited]
    : [{ type: formatType(type), conversion: asIs }, unlimited];
}

const dateType = { type: "date", conversion: iso };
const momentType = { type: "timestamp with time zone", conversion: iso };

const isMoment = (type: string): boolean => type === dateType.type || type === momentType.type;

export function chooseType(column: ColumnDescription, profile: ColumnProfile | undefined, isKey: boolean): TypeChoice {
  if (profile !== undefined && profile.declared !== null) return { ...profile.declared, refused: 0 };
  if (profile === undefined || profile.nulls === profile.rows) return typeOfEmpty(column);
  const fits = isKey ? [] : profile.fits;
  const fitting = fits.find((fit) => fit.refused === 0);
  if (fitting !== undefined) return { ...fitting, why: fitting === fits[0] ? null : brokenPromise(fits[0]) };
  const byClass = typeOfClasses(column, profile);
  return { ...byClass, conversion: asIs, why: byClass.why ?? brokenPromise(fits[0]) };
}

const brokenPromise = (fit: { readonly type: string; readonly refused: number } | undefined): string | null =>
  fit === undefined ? null : `${fit.refused} of its values do not fit ${fit.type}`;

function typeOfEmpty(column: ColumnDescription): TypeChoice {
  const [first] = suggestedTypes(column.declaredType);
  if (first !== undefined && isMoment(first.type)) {
    return { type: "text", conversion: asIs, why: "it has no values yet that would say how it writes time", refused: 0 };
  }
  if (first !== undefined) return { ...first, why: null, refused: 0 };
  return { type: emptyTypes[affinityOf(column.declaredType)], conversion: asIs, why: null, refused: 0, ...untyped(column) };
}

const emptyTypes: Readonly<Record<Affinity, string>> = {
  integer: "bigint",
  text: "text",
  blob: "bytea",
  real: "double precision",
  numeric: "text",
};

const untyped = (column: ColumnDescription): Partial<TypeChoice> =>
  column.declaredType === "" ? { type: "text", why: "it has neither a declared type nor values" } : {};

/** The narrowest type that takes every value, by storage class alone. */
function typeOfClasses(column: ColumnDescription, profile: ColumnProfile): Omit<TypeChoice, "conversion"> {
  const count = (storage: StorageClass): number => profile.classes[storage] ?? 0;
  const numbers = count("integer") + count("real");
  const declared = affinityOf(column.declaredType);
  if (count("blob") > 0) {
    const mixed = numbers + count("text") + count("raw") > 0;
    return { type: "bytea", why: mixed || declared === "text" ? "it holds BLOBs" : null, refused: numbers };
  }
  if (count("text") + count("raw") > 0) {
    if (column.declaredType.toUpperCase().includes("BLOB") && numbers === 0) return { type: "bytea", why: null, refused: 0 };
    const unfit = count("raw") + profile.textWithNul;
    if (unfit > 0 && numbers === 0) {
      return { type: "bytea", why: `${unfit} of its texts hold NUL or are not UTF-8, which text cannot hold`, refused: 0 };
    }
    return { type: "text", why: declared === "text" ? null : "it holds text", refused: unfit };
  }
  if (count("real") === 0) return { type: "bigint", why: declared === "real" ? "it holds integers" : null, refused: 0 };
  if (count("integer") === 0 && declared !== "integer") return { type: "double precision", why: null, refused: 0 };
  return { type: "numeric", why: "it holds integers and REAL values", refused: 0 };
}
