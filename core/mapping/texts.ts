/**
 * Values of text types, bytea and uuid.
 *
 * A number in a text column becomes its decimal text: an INTEGER as it is, a REAL in its shortest form that reads back as the same double,
 * with `.0` when it is whole, so that 1 and 1.0 stay apart. A BLOB in a text column is refused, even when it happens to be UTF-8: x'61' and
 * 'a' are two values at the source. bytea takes text as its UTF-8 bytes, and text that is not UTF-8 as the bytes it has.
 */
import { isRawText, type Value } from "../vocabulary/value.js";
import { type Convert, type Refused, refused } from "./mapped.js";

const nul = refused("value.nul", "text with a NUL character");
const notUtf8 = refused("value.encoding", "text that is not valid UTF-8");
const blob = refused("value.type", "a BLOB where text is asked for");

// With the u flag a surrogate matches only when it stands alone.
const unfit = /[\0\ud800-\udfff]/u;

export const textConverter: Convert = (value) => {
  if (typeof value === "string") return unfit.test(value) ? unfitReason(value) : value;
  return looseText(value);
};

export const unfitReason = (text: string): Refused => (text.includes("\0") ? nul : notUtf8);
export const isUnfit = (text: string): boolean => unfit.test(text);

function looseText(value: Value): string | Refused {
  switch (typeof value) {
    case "bigint":
      return value.toString();
    case "number":
      return realText(value);
    case "boolean":
      return value ? "true" : "false";
    default:
      return isRawText(value) ? notUtf8 : blob;
  }
}

export function realText(n: number): string {
  if (Object.is(n, -0)) return "-0.0";
  const text = n.toString();
  return Number.isInteger(n) && !text.includes("e") ? `${text}.0` : text;
}

/** varchar(n) and char(n). Characters are code points, as PostgreSQL counts them. */
export function limitedTextConverter(length: number): Convert {
  const long = refused("value.length", `text of more than ${length} characters`);
  return (value) => {
    const text = textConverter(value);
    if (typeof text !== "string" || text.length <= length) return text;
    return text.length <= 2 * length && codePoints(text) <= length ? text : long;
  };
}

function codePoints(text: string): number {
  let n = 0;
  for (let i = 0; i < text.length; i++) {
    // The text is well-formed here: every low surrogate belongs to the high one before it.
    const unit = text.charCodeAt(i);
    if (unit < 0xdc00 || unit > 0xdfff) n++;
  }
  return n;
}

const notBytes = refused("value.type", "a number where bytes are asked for");
const broken = refused("value.encoding", "text with half of a surrogate pair, which has no bytes");
const alone = /[\ud800-\udfff]/u;

export const byteaConverter: Convert = (value) => {
  if (value instanceof Uint8Array) return hexText(value);
  if (typeof value === "string") return alone.test(value) ? broken : `\\x${Buffer.from(value, "utf8").toString("hex")}`;
  return isRawText(value) ? hexText(value.rawText) : notBytes;
};

const hexText = (bytes: Uint8Array): string => `\\x${hex(bytes)}`;
const hex = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");

const uuidForm = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const notUuid = refused("value.type", "a value that is neither a UUID in its dashed form nor 16 bytes");

export const uuidConverter: Convert = (value) => {
  if (typeof value === "string") return uuidForm.test(value) ? value.toLowerCase() : notUuid;
  if (!(value instanceof Uint8Array) || value.byteLength !== 16) return notUuid;
  const digits = hex(value);
  return `${digits.slice(0, 8)}-${digits.slice(8, 12)}-${digits.slice(12, 16)}-${digits.slice(16, 20)}-${digits.slice(20)}`;
};

const upperCaseUuid = refused("value.type", "a UUID in upper case, which would sort elsewhere as a key");

/** In a key two spellings of one UUID would be two rows at the source and one at the target. */
export const keyUuidConverter: Convert = (value) => {
  const text = uuidConverter(value);
  return typeof value === "string" && typeof text === "string" && text !== value ? upperCaseUuid : text;
};
