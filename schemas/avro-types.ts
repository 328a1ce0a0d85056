/**
 * A schema's text taken apart: checked by avsc (names, defaults, references), then reduced to the few shapes our records are made of.
 * Anything else is refused here, before a byte is read by it: a type that contains itself, and an array of items that take no bytes (six
 * bytes could claim thirty million of them).
 */
import avsc from "avsc";
import { WireFault } from "./wire/fault.js";

export type AvroType =
  | { readonly kind: "null" | "boolean" | "int" | "long" | "double" | "bytes" | "string" }
  | AvroRecord
  | { readonly kind: "union"; readonly branches: readonly AvroType[] }
  | { readonly kind: "array"; readonly items: AvroType };
export interface AvroRecord {
  readonly kind: "record";
  readonly name: string;
  readonly fields: readonly { readonly name: string; readonly type: AvroType }[];
  readonly properties: Readonly<Record<string, unknown>>;
}

/** Rejects text that is no Avro schema. */
export function parseSchema(text: string): AvroType {
  const schema = parseJson(text);
  checkByAvsc(schema);
  return reduce(schema, { namespace: "", named: new Map() });
}

/** SHA-256 of the schema in Avro's canonical form, which leaves properties and defaults out. */
export function canonicalFingerprint(text: string): string {
  return avsc.Type.forSchema(JSON.parse(text), { wrapUnions: true }).fingerprint("sha256").toString("hex");
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new WireFault("the schema is not JSON", { cause });
  }
}

function checkByAvsc(schema: unknown): void {
  try {
    avsc.Type.forSchema(schema as Parameters<typeof avsc.Type.forSchema>[0], { wrapUnions: true });
  } catch (cause) {
    throw new WireFault(`the schema is refused: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

interface Scope {
  readonly namespace: string;
  /** null while the record is still being read: a reference from inside would contain itself. */
  readonly named: Map<string, AvroRecord | null>;
}

function reduce(schema: unknown, scope: Scope): AvroType {
  if (typeof schema === "string") return primitive(schema) ?? reference(schema, scope);
  if (Array.isArray(schema)) return { kind: "union", branches: schema.map((branch) => reduce(branch, scope)) };
  if (typeof schema !== "object" || schema === null) throw new WireFault("the schema has a part that is no type");
  const properties = Object.fromEntries(Object.entries(schema));
  const { type } = properties;
  if (type === "record") return record(properties, scope);
  if (type === "array") return array(properties, scope);
  if (typeof type === "string") return primitive(type) ?? reference(type, scope);
  return reduce(type, scope);
}

function primitive(name: string): AvroType | null {
  switch (name) {
    case "null":
    case "boolean":
    case "int":
    case "long":
    case "double":
    case "bytes":
    case "string":
      return { kind: name };
    default:
      return null;
  }
}

function record(properties: Readonly<Record<string, unknown>>, scope: Scope): AvroRecord {
  const namespace = typeof properties.namespace === "string" ? properties.namespace : scope.namespace;
  const name = fullName(String(properties.name), namespace);
  scope.named.set(name, null);
  const inner: Scope = { namespace: name.includes(".") ? name.slice(0, name.lastIndexOf(".")) : "", named: scope.named };
  if (!Array.isArray(properties.fields)) throw new WireFault(`record ${name} has no fields`);
  const fields = properties.fields.map((field: { name: unknown; type: unknown }) => ({
    name: String(field.name),
    type: reduce(field.type, inner),
  }));
  const made: AvroRecord = { kind: "record", name, fields, properties };
  scope.named.set(name, made);
  return made;
}

function array(properties: Readonly<Record<string, unknown>>, scope: Scope): AvroType {
  const items = reduce(properties.items, scope);
  if (leastBytes(items) === 0) throw new WireFault("an array's items take no bytes");
  return { kind: "array", items };
}

function reference(name: string, scope: Scope): AvroType {
  const found = scope.named.get(fullName(name, scope.namespace)) ?? scope.named.get(name);
  if (found === undefined) throw new WireFault(`type ${name} is none that our records are made of`);
  if (found === null) throw new WireFault(`type ${name} contains itself`);
  return found;
}

const fullName = (name: string, namespace: string): string => (name.includes(".") || namespace === "" ? name : `${namespace}.${name}`);

/** Of any value of the type: bounds how many items bytes can hold. Remembered, since records that name each other twice grow exponentially. */
export function leastBytes(type: AvroType, known = new Map<AvroType, number>()): number {
  const found = known.get(type);
  if (found !== undefined) return found;
  const bytes = leastBytesOf(type, known);
  known.set(type, bytes);
  return bytes;
}

function leastBytesOf(type: AvroType, known: Map<AvroType, number>): number {
  if (type.kind === "null") return 0;
  if (type.kind === "double") return 8;
  if (type.kind === "record") return type.fields.reduce((sum, field) => sum + leastBytes(field.type, known), 0);
  return 1;
}
