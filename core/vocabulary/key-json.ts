/** Keys as JSON that any store takes: storage classes kept apart, and no text that PostgreSQL's jsonb refuses. */
import { TailraceError } from "../errors.js";
import { isRawText, type Key, type Value } from "./value.js";

export const keyToJson = (key: Key): readonly unknown[] => key.map(valueToJson);

export function keyFromJson(json: unknown): Key {
  if (Array.isArray(json)) return json.map(valueFromJson);
  throw new TailraceError("log.garbage", { what: "A stored key is not a list of values" });
}

// Lone surrogates, and NUL, which jsonb does not hold.
const unfit = /[\0\ud800-\udfff]/u;
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");

function valueToJson(value: Value): unknown {
  if (value === null || typeof value === "boolean") return value;
  if (typeof value === "string") return unfit.test(value) ? { u: Buffer.from(value, "utf16le").toString("base64") } : value;
  if (typeof value === "bigint") return { i: value.toString() };
  if (typeof value === "number") return { r: String(value) };
  if (value instanceof Uint8Array) return { x: base64(value) };
  if (isRawText(value)) return { w: base64(value.rawText) };
  throw new Error("a key holds a value that no source of ours has");
}

function valueFromJson(json: unknown): Value {
  if (json === null || typeof json === "boolean" || typeof json === "string") return json;
  const { i, r, x, w, u } = json as Readonly<Partial<Record<"i" | "r" | "x" | "w" | "u", string>>>;
  if (i !== undefined) return BigInt(i);
  if (r !== undefined) return Number(r);
  if (x !== undefined) return new Uint8Array(Buffer.from(x, "base64"));
  if (w !== undefined) return { rawText: new Uint8Array(Buffer.from(w, "base64")) };
  if (u !== undefined) return Buffer.from(u, "base64").toString("utf16le");
  throw new TailraceError("log.garbage", { what: "A stored key holds a value of no kind" });
}
