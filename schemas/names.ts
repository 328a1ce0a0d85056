/**
 * Names that Avro allows, from names that it does not. A name made of letters, digits and underscores stays as it is; every other
 * character becomes `_uXXXX` (its UTF-16 code units, as Debezium's `avro_unicode` adjustment writes them). To keep two names from meeting, an
 * underscore that already begins such a sequence is written `_u005f`. Debezium escapes every underscore; `created_at` would not be
 * recognised by anybody then. `__proto__` is escaped although it is legal: Avro readers written in JavaScript, avsc among them, set the prototype
 * of their objects by it.
 */
const looksEscaped = /_(?=u[0-9a-f]{4}|uempty|udup)/g;
const illegal = /[^A-Za-z0-9_]/g;

/** Injective over all strings. */
export function avroName(name: string): string {
  if (name === "") return "_uempty";
  if (name === "__proto__") return "_u005f_proto__";
  const escaped = name.replaceAll(looksEscaped, "_u005f").replaceAll(illegal, escapeUnit);
  return /^[0-9]/.test(escaped) ? escapeUnit(escaped.charAt(0)) + escaped.slice(1) : escaped;
}

/** Dots separate; each part is a name. */
export const avroNamespace = (topic: string): string => topic.split(".").map(avroName).join(".");

/** In order; a name that comes again gets its number, since a record of Avro has no two fields of one name. */
export function avroFieldNames(names: readonly string[]): readonly string[] {
  const seen = new Map<string, number>();
  return names.map((name) => {
    const n = (seen.get(name) ?? 0) + 1;
    seen.set(name, n);
    return n === 1 ? avroName(name) : `${avroName(name)}_udup${n}`;
  });
}

const escapeUnit = (unit: string): string => `_u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
