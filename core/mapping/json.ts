/**
 * JSON for json and jsonb. The text goes through as it is; whether PostgreSQL will take it is found out here, because a refusal there would
 * stop a whole window without naming the row.
 *
 * JSON.parse accepts what PostgreSQL accepts but for four things: depth (PostgreSQL's own limit depends on its stack, so ours is fixed), and
 * for jsonb, which unlike json is stored decoded: escaped NUL, escaped halves of surrogate pairs, numbers beyond numeric.
 */
import { numericDigitsMax, numericScaleMax, parseDecimal } from "./decimal.js";
import { type Convert, refused } from "./mapped.js";
import { isUnfit, unfitReason } from "./texts.js";

export const jsonDepthMax = 1000;

const notText = refused("value.json", "a value that is not text");
const notJson = refused("value.json", "text that is not JSON");
const deep = refused("value.json", `JSON nested deeper than ${jsonDepthMax}`);
const nul = refused("value.json", "JSON with an escaped NUL (\\u0000), which jsonb cannot hold");
const surrogate = refused("value.json", "JSON with half of an escaped surrogate pair, which jsonb cannot hold");
const wide = refused("value.json", "JSON with a number beyond what jsonb holds");

export function jsonConverter(binary: boolean): Convert {
  return (value) => {
    if (typeof value === "bigint") return value.toString();
    if (typeof value === "number") return Number.isFinite(value) ? value.toString() : notJson;
    if (typeof value !== "string") return notText;
    if (isUnfit(value)) return unfitReason(value);
    if (!isJson(value)) return notJson;
    if (isDeep(value)) return deep;
    if (!binary) return value;
    if (value.includes("\\u")) {
      const fault = escapeFault(value);
      if (fault !== null) return fault === "nul" ? nul : surrogate;
    }
    return hasWideNumber(value) ? wide : value;
  };
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Only for valid JSON. Strings are stepped over. */
function isDeep(text: string): boolean {
  if (text.length <= 2 * jsonDepthMax) return false;
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit === 0x22) i = endOfString(text, i);
    else if (unit === 0x5b || unit === 0x7b) {
      if (++depth > jsonDepthMax) return true;
    } else if (unit === 0x5d || unit === 0x7d) depth--;
  }
  return false;
}

/** Index of the closing quote of the string that opens at `start`. */
function endOfString(text: string, start: number): number {
  let i = start + 1;
  while (text.charCodeAt(i) !== 0x22) i += text.charCodeAt(i) === 0x5c ? 2 : 1;
  return i;
}

const escape = /\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u(0000)|u([dD][89a-fA-F][0-9a-fA-F]{2})|.)/g;

function escapeFault(text: string): "nul" | "surrogate" | null {
  for (const [, zero, half] of text.matchAll(escape)) {
    if (zero !== undefined) return "nul";
    if (half !== undefined) return "surrogate";
  }
  return null;
}

const number = /-?\d[\d.eE+-]*/y;

function hasWideNumber(text: string): boolean {
  // Only an exponent or an endless row of digits can leave the range.
  if (text.length <= numericScaleMax && !/\d[eE]/.test(text)) return false;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit === 0x22) i = endOfString(text, i);
    else if (unit === 0x2d || (unit >= 0x30 && unit <= 0x39)) {
      number.lastIndex = i;
      const word = number.exec(text)?.[0] ?? "";
      const decimal = parseDecimal(word);
      if (decimal !== null && (decimal.point > numericDigitsMax || decimal.scale > numericScaleMax)) return true;
      i += word.length - 1;
    }
  }
  return false;
}
