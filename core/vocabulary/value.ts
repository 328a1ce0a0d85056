/**
 * Values as the source has them, never converted on the way. For SQLite the JS type tells the storage class:
 * bigint = INTEGER, number = REAL, string = TEXT, Uint8Array = BLOB, RawText = TEXT whose bytes are not UTF-8. Sources with declared types also
 * have boolean, and string for exact numbers that no bigint holds: there the column's class tells which is meant.
 */
export type Value = null | bigint | number | string | boolean | Uint8Array | RawText | Unset | readonly Value[];

/** Text that cannot be a JS string without loss. */
export interface RawText {
  readonly rawText: Uint8Array;
}
/** The source does not say (unchanged TOAST). It must not be written, and makes a row hash impossible. */
export interface Unset {
  readonly unset: true;
}

/** In the order of `TableDescription.columns`. */
export type Row = readonly Value[];
/** Key columns, in the order of `TableDescription.key`. */
export type Key = readonly Value[];

export const isRawText = (value: Value): value is RawText => typeof value === "object" && value !== null && "rawText" in value;

/**
 * Text that is equal exactly when two keys are equal: for maps, never for people. Tagged by storage class, so that 1, 1.0 and '1'
 * stay three keys, as they are for an untyped column.
 */
export function keyText(key: Key): string {
  const only = key[0];
  if (key.length === 1) {
    if (typeof only === "bigint") return `i${only}`;
    if (typeof only === "string") return `t${only}`;
  }
  return key.map(partText).join("\u0000");
}

function partText(value: Value | undefined): string {
  if (value === null || value === undefined) return "n";
  switch (typeof value) {
    case "bigint":
      return `i${value}`;
    case "number":
      return `r${Object.is(value, -0) ? 0 : value}`;
    case "string":
      // Escaped, so that a NUL inside the text cannot be taken for the separator.
      return `t${value.replaceAll("\u0001", "\u0001a").replaceAll("\u0000", "\u0001b")}`;
    case "boolean":
      return value ? "b1" : "b0";
    default:
      if (value instanceof Uint8Array) return `x${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("hex")}`;
      if (isRawText(value)) return `w${Buffer.from(value.rawText).toString("hex")}`;
      return `j${JSON.stringify(value, (_, v: unknown) => (typeof v === "bigint" ? `${v}n` : v))}`;
  }
}
