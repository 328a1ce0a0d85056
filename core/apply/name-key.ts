import { isRawText, type Key, type Value } from "../vocabulary/value.js";

/** A key for people: it names the row that stops the pipeline. */
export const nameKey = (key: Key): string => {
  const text = key.map(nameValue).join(", ");
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
};

function nameValue(value: Value): string {
  if (value instanceof Uint8Array) return `x'${Buffer.from(value).toString("hex")}'`;
  if (isRawText(value)) return `x'${Buffer.from(value.rawText).toString("hex")}'`;
  return typeof value === "object" && value !== null ? "…" : String(value);
}
