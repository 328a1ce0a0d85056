/**
 * PostgreSQL type names: one parser for what people write, one printer for what `format_type` prints.
 *
 * A type's text goes into DDL, so whatever is not understood must at least have the form of a type name: `parseType` answers null for
 * anything else, and no other code lets type text through.
 */
export type PostgresType =
  | { readonly kind: "smallint" | "integer" | "bigint" | "double precision" | "real" | "boolean" }
  | { readonly kind: "text" | "bytea" | "uuid" | "json" | "jsonb" | "date" }
  | { readonly kind: "numeric"; readonly precision: number | null; readonly scale: number }
  /** `length` null: no limit. */
  | { readonly kind: "varchar"; readonly length: number | null }
  | { readonly kind: "char"; readonly length: number }
  | { readonly kind: "timestamp" | "time"; readonly precision: number | null; readonly zone: boolean }
  /** Whatever else the server knows: values go through as text. */
  | { readonly kind: "other"; readonly name: string };

/** What `name(arguments) suffix` means, by its name in lower case with single blanks. Null: the arguments make no sense. */
type Reading = (args: readonly number[], suffix: string) => PostgresType | null;

const plain =
  (
    kind:
      | "smallint"
      | "integer"
      | "bigint"
      | "double precision"
      | "real"
      | "boolean"
      | "text"
      | "bytea"
      | "uuid"
      | "json"
      | "jsonb"
      | "date",
  ): Reading =>
  (args, suffix) =>
    args.length === 0 && suffix === "" ? { kind } : null;

const float: Reading = (args, suffix) => {
  const [bits = 53] = args;
  if (suffix !== "" || args.length > 1 || bits < 1 || bits > 53) return null;
  return { kind: bits <= 24 ? "real" : "double precision" };
};

const numeric: Reading = (args, suffix) => {
  const [precision, scale = 0] = args;
  if (suffix !== "" || args.length > 2) return null;
  if (precision === undefined) return { kind: "numeric", precision: null, scale: 0 };
  if (precision < 1 || precision > 1000 || scale < -1000 || scale > 1000) return null;
  return { kind: "numeric", precision, scale };
};

const characters =
  (kind: "varchar" | "char"): Reading =>
  (args, suffix) => {
    const [length] = args;
    if (suffix !== "" || args.length > 1 || (length !== undefined && (length < 1 || length > 10_485_760))) return null;
    if (kind === "char") return { kind, length: length ?? 1 };
    return { kind, length: length ?? null };
  };

const clock =
  (kind: "timestamp" | "time", always: boolean): Reading =>
  (args, suffix) => {
    const [precision] = args;
    if (args.length > 1 || (precision !== undefined && (precision < 0 || precision > 6))) return null;
    if (suffix !== "" && (always || !/^with(?:out)? time zone$/.test(suffix))) return null;
    return { kind, precision: precision ?? null, zone: always || suffix === "with time zone" };
  };

const readings: ReadonlyMap<string, Reading> = new Map([
  ...["smallint", "int2", "smallserial", "serial2"].map((name): [string, Reading] => [name, plain("smallint")]),
  ...["integer", "int", "int4", "serial", "serial4"].map((name): [string, Reading] => [name, plain("integer")]),
  ...["bigint", "int8", "bigserial", "serial8"].map((name): [string, Reading] => [name, plain("bigint")]),
  ...["double precision", "float8", "double"].map((name): [string, Reading] => [name, plain("double precision")]),
  ...["real", "float4"].map((name): [string, Reading] => [name, plain("real")]),
  ...["boolean", "bool"].map((name): [string, Reading] => [name, plain("boolean")]),
  ...["numeric", "decimal", "dec"].map((name): [string, Reading] => [name, numeric]),
  ...["varchar", "character varying", "char varying"].map((name): [string, Reading] => [name, characters("varchar")]),
  ...["char", "character"].map((name): [string, Reading] => [name, characters("char")]),
  ["float", float],
  ["text", plain("text")],
  ["bytea", plain("bytea")],
  ["uuid", plain("uuid")],
  ["json", plain("json")],
  ["jsonb", plain("jsonb")],
  ["date", plain("date")],
  ["timestamp", clock("timestamp", false)],
  ["timestamptz", clock("timestamp", true)],
  ["time", clock("time", false)],
  ["timetz", clock("time", true)],
]);

const otherForm =
  /^(?:(?:[a-z_][a-z0-9_]*|"(?:[^"\0]|"")+")\.)?(?:[a-z_][a-z0-9_]*(?: [a-z_][a-z0-9_]*){0,4}|"(?:[^"\0]|"")+")(?: ?\( ?[a-z0-9_-]+ ?(?:, ?[a-z0-9_-]+ ?)*\))?(?: (?:with|without) time zone)?(?:\[\])*$/;

/** Null when the text cannot be a type, or its arguments are out of range. */
export function parseType(text: string): PostgresType | null {
  const name = text.includes('"') ? text.trim() : text.trim().replaceAll(/\s+/g, " ").toLowerCase();
  const parts = /^([a-z_][a-z0-9_ ]*?) ?(?:\( ?(-?\d{1,9}) ?(?:, ?(-?\d{1,9}) ?)?\))? ?((?:with|without) time zone)?$/.exec(name);
  const [, word = "", first, second, suffix = ""] = parts ?? [];
  const reading = readings.get(word);
  if (reading === undefined) return isOther(name) ? { kind: "other", name } : null;
  return reading(
    [first, second].filter((n) => n !== undefined).map((n) => Number(n)),
    suffix,
  );
}

/** A type that is ours to know, with arguments it does not take, is no other type; an array of it is. */
const isOther = (name: string): boolean => otherForm.test(name) && (name.endsWith("[]") || !readings.has(name.replace(/ ?\(.*$/, "")));

/** As `format_type` prints it. */
export function formatType(type: PostgresType): string {
  switch (type.kind) {
    case "numeric":
      return type.precision === null ? "numeric" : `numeric(${type.precision},${type.scale})`;
    case "varchar":
      return type.length === null ? "character varying" : `character varying(${type.length})`;
    case "char":
      return `character(${type.length})`;
    case "timestamp":
    case "time":
      return `${type.kind}${type.precision === null ? "" : `(${type.precision})`} ${type.zone ? "with" : "without"} time zone`;
    case "other":
      return type.name;
    default:
      return type.kind;
  }
}
