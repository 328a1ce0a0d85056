/**
 * From what PostgreSQL prints back to a value of the source: for each target type one function, chosen by the storage classes that the column has
 * held so far. It answers some value that the mapping takes to the same text, or refuses; which of several spellings comes out is a matter of taste,
 * and the caller keeps the value that is there when it says the same (way-back.ts).
 */
import type { Conversion } from "../contracts/plan.js";
import type { StorageClass } from "../vocabulary/table.js";
import { unreachable } from "../vocabulary/unreachable.js";
import type { Value } from "../vocabulary/value.js";
import type { Instant } from "./calendar.js";
import { canonicalDecimal, parseDecimal, sameDecimal } from "./decimal.js";
import { readPrinted } from "./iso.js";
import { type Refused, refused } from "./mapped.js";
import type { PostgresType } from "./postgres-type.js";
import { realText } from "./texts.js";
import { styledInstant, type TimeStyle, yearZero } from "./time-style.js";

export type Back = (text: string) => Value | Refused;

/** What the column's values have been like. */
export interface Likeness {
  readonly classes: readonly StorageClass[];
  readonly style: TimeStyle;
}

const notHere = refused("value.no-way-back", "a value that the source has no form for");
const notANumber = refused("value.no-way-back", "NaN, which it would store as NULL");
const early = refused("value.no-way-back", "a time before the year 0, which ISO text cannot say");
const fine = refused("value.no-way-back", "a time that is finer than what the source's column counts");

export function compileBack(type: PostgresType, conversion: Conversion, like: Likeness): Back {
  const only = like.classes.length === 1 ? (like.classes[0] ?? null) : null;
  switch (type.kind) {
    case "smallint":
    case "integer":
    case "bigint":
      return integerBack(only);
    case "numeric":
      return numericBack(like.classes);
    case "double precision":
      return floatBack(only, Number);
    case "real":
      return floatBack(only, (text) => Math.fround(Number(text)));
    case "boolean":
      return (text) => (only === "text" ? (text.startsWith("t") ? "true" : "false") : text.startsWith("t") ? 1n : 0n);
    case "bytea":
      return bytesBack(like.classes);
    case "uuid":
      return only === "blob" ? (text) => bytesOf(text.replaceAll("-", "")) : same;
    case "char":
      return textBack(only, (text) => text.replace(/ +$/, ""));
    case "text":
    case "varchar":
    case "json":
    case "jsonb":
    case "time":
    case "other":
      return textBack(only, same);
    case "date":
    case "timestamp":
      return timeBack(type.kind, conversion, like);
    default:
      return unreachable(type);
  }
}

const same = (text: string): string => text;
const int64 = 2n ** 63n;
const plainInteger = /^(?:0|-?[1-9]\d{0,18})$/;

function integerBack(only: StorageClass | null): Back {
  if (only === "text") return same;
  return (text) => (plainInteger.test(text) ? (only === "real" ? Number(text) : BigInt(text)) : notHere);
}

/** Of numeric and the like: an INTEGER if it is whole, else a REAL if that is exact, else the text. */
function numericBack(classes: readonly StorageClass[]): Back {
  const [only, ...others] = classes;
  return (text) => {
    const decimal = parseDecimal(text);
    if (decimal === null) return text.endsWith("Infinity") ? Number(text) : notANumber;
    if (others.length === 0 && only === "text") return text;
    const near = Number(text);
    const nearest = Number.isFinite(near) ? parseDecimal(String(near)) : null;
    const exact = nearest !== null && sameDecimal(decimal, nearest) ? near : null;
    if (others.length === 0 && only === "real" && exact !== null) return exact;
    return wholeOf(canonicalDecimal(text)) ?? exact ?? text;
  };
}

function wholeOf(text: string): bigint | null {
  if (!plainInteger.test(text)) return null;
  const n = BigInt(text);
  return n >= -int64 && n < int64 ? n : null;
}

function floatBack(only: StorageClass | null, read: (text: string) => number): Back {
  return (text) => {
    if (only === "text") return text;
    const n = read(text);
    if (Number.isNaN(n)) return notANumber;
    return only === "integer" && Number.isSafeInteger(n) && !Object.is(n, -0) ? BigInt(n) : n;
  };
}

/** A text column that has only ever held numbers goes on holding numbers, where the text is one. */
function textBack(only: StorageClass | null, trim: (text: string) => string): Back {
  return (printed) => {
    const text = trim(printed);
    if (only === "integer") return wholeOf(text) ?? text;
    if (only === "real" && realText(Number(text)) === text) return Number(text);
    return text;
  };
}

function bytesBack(classes: readonly StorageClass[]): Back {
  const holdsText = classes.length > 0 && classes.every((storage) => storage === "text" || storage === "raw");
  return (text) => {
    const bytes = bytesOf(text.slice(2));
    return holdsText ? textOfBytes(bytes) : bytes;
  };
}

const bytesOf = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, "hex"));
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Text, or `RawText` for bytes that are none. */
export function textOfBytes(bytes: Uint8Array): Value {
  try {
    return utf8.decode(bytes);
  } catch {
    return { rawText: bytes };
  }
}

function timeBack(kind: "date" | "timestamp", conversion: Conversion, like: Likeness): Back {
  const write = timeWriter(kind, conversion, like);
  return (text) => {
    const at = readPrinted(kind === "date" ? text.replace(/^(\S+)( BC)?$/, "$1 00:00:00$2") : text);
    return at === null ? notHere : write(at, text);
  };
}

function timeWriter(
  kind: "date" | "timestamp",
  conversion: Conversion,
  { classes, style }: Likeness,
): (at: Instant, text: string) => Value | Refused {
  switch (conversion.kind) {
    case "as-is":
    case "iso":
      if (kind === "timestamp") return (at) => styledInstant(at, style) ?? early;
      return (_, text) => (text.endsWith(" BC") ? (yearZero(text.slice(0, -3)) ?? early) : text);
    case "epoch":
      return counter({ s: 1n, ms: 1_000n, us: 1_000_000n }[conversion.unit], numberLike(classes));
    case "counted":
      return conversion.unit === "d"
        ? (at) => BigInt(at.seconds) / 86_400n
        : counter({ us: 1_000_000n, ns: 1_000_000_000n }[conversion.unit], "integer");
    case "julian-day":
      return julianDay;
    default:
      return unreachable(conversion);
  }
}

/** ISO text beside the numbers does not count: CURRENT_TIMESTAMP as a default writes it, the application does not. */
function numberLike(classes: readonly StorageClass[]): StorageClass {
  const numbers = classes.filter((storage) => storage === "integer" || storage === "real");
  return numbers.length === 1 && numbers[0] !== undefined ? numbers[0] : "integer";
}

function counter(perSecond: bigint, like: StorageClass): (at: Instant) => Value | Refused {
  return ({ seconds, micros }) => {
    const fraction = BigInt(micros) * perSecond;
    if (fraction % 1_000_000n !== 0n) return fine;
    const n = BigInt(seconds) * perSecond + fraction / 1_000_000n;
    return like === "real" ? Number(n) : n;
  };
}

const julianMsOf1970 = 210_866_760_000_000;

/** The number that SQLite's julianday() gives for the moment. */
function julianDay({ seconds, micros }: Instant): Value | Refused {
  if (micros % 1000 !== 0) return fine;
  return (seconds * 1000 + micros / 1000 + julianMsOf1970) / 86_400_000;
}
