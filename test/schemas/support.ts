/** Tables, rows and a registry for the tests of the wire format. */
import avsc from "avsc";
import fc from "fast-check";
import type { Clock } from "../../core/clock.js";
import type { Change } from "../../core/contracts/change.js";
import type { ChangeDecoder, DecodedRecord, EncodedPart, EncodedRecord } from "../../core/contracts/log.js";
import type { StoredRecord } from "../../core/contracts/log-store.js";
import { TailraceError } from "../../core/errors.js";
import { groupId, offset, schemaVersion, tableId } from "../../core/vocabulary/ids.js";
import type { ColumnDescription, StorageClass, TableDescription } from "../../core/vocabulary/table.js";
import { isRawText, type Row, type Value } from "../../core/vocabulary/value.js";
import type { SchemaRegistry } from "../../schemas/registry/registry.js";

export const never = new AbortController().signal;

export const stillClock: Clock = { wallMs: () => 1_790_000_000_123, monotonicMs: () => 0, delay: async () => {} };

/** Numbers in order of registration. */
export class MapRegistry implements SchemaRegistry {
  readonly texts: string[] = [];
  readonly subjects = new Map<string, string>();

  async idFor(subject: string, schemaText: string): Promise<number> {
    this.subjects.set(subject, schemaText);
    const found = this.texts.indexOf(schemaText);
    return found >= 0 ? found + 1 : this.texts.push(schemaText);
  }

  async schemaById(id: number): Promise<string> {
    const text = this.texts[id - 1];
    if (text === undefined) throw new TailraceError("registry.unknown-schema", { what: "no such schema", where: { schema: id } });
    return text;
  }

  async recheck(): Promise<void> {}
}

export function column(name: string, classes: readonly StorageClass[], options: Partial<ColumnDescription> = {}): ColumnDescription {
  return { name, declaredType: "", nullable: false, generated: false, classes, ...options };
}

export function table(name: string, columns: readonly ColumnDescription[], key: readonly [number, ...number[]] = [0]): TableDescription {
  return { table: tableId(name), group: groupId(1), schema: schemaVersion(1), columns, key };
}

export const recordsOf = (parts: readonly EncodedPart[]): readonly EncodedRecord[] =>
  parts.flatMap((part) => (part.kind === "records" ? part.records : []));

/** Records with all that they say, as plain objects: rows are only made when they are asked for. */
export async function decodedWhole(
  decoder: ChangeDecoder,
  records: readonly StoredRecord[],
): Promise<readonly (Pick<DecodedRecord, "epoch" | "at" | "body"> | null)[]> {
  const decoded = await decoder.decode(records, never);
  return decoded.map((record) => (record === null ? null : { epoch: record.epoch, at: record.at, body: plainBody(record.body) }));
}

function plainBody(body: DecodedRecord["body"]): DecodedRecord["body"] {
  return body.kind === "change" ? { ...body, change: plainChange(body.change) } : body;
}

function plainChange(change: Change): Change {
  const { at, key } = change;
  if (change.kind === "delete") return { kind: "delete", at, key, before: change.before };
  const { after } = change;
  return change.kind === "rekey" ? { kind: "rekey", at, from: change.from, key, after } : { kind: change.kind, at, key, after };
}

export const stored = (records: readonly EncodedRecord[]): readonly StoredRecord[] =>
  records.map((record, i) => ({ ...record, offset: offset(i) }));

const classValues: Readonly<Record<StorageClass, fc.Arbitrary<Value>>> = {
  integer: fc.oneof(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), fc.bigInt({ min: -300n, max: 300n }), edgeIntegers()),
  real: fc.oneof(fc.double({ noNaN: true }), fc.constantFrom(-0, 5e-324, 1e308, Infinity, -Infinity)),
  text: fc.oneof(
    fc.string(),
    fc.string({ unit: "binary", maxLength: 200 }),
    fc.constantFrom("\u0000", "\ufffd", "\ufeffx", "é".repeat(63)),
  ),
  blob: fc.uint8Array({ maxLength: 80 }),
  raw: fc.uint8Array({ maxLength: 20 }).map((rawText) => ({ rawText })),
  boolean: fc.boolean(),
  decimal: fc.bigInt().map(String),
};

/** Around each power of two, where a varint gets a byte longer or a number stops being exact. */
function edgeIntegers(): fc.Arbitrary<bigint> {
  return fc
    .tuple(fc.integer({ min: 0, max: 62 }), fc.integer({ min: -2, max: 2 }), fc.boolean())
    .map(([power, by, negative]) => (2n ** BigInt(power) + BigInt(by)) * (negative ? -1n : 1n));
}

const names = fc.oneof(
  fc.constantFrom("__proto__", "constructor", "toString", "a b", "id", "Id", "1st", "", "order", "ä", "created_at", "_u0041", "💥", '"'),
  fc.string({ maxLength: 8 }),
);

const columns = fc
  .record({
    name: names,
    declaredType: fc.constantFrom("", "INTEGER", "VARCHAR(20)", 'x"y'),
    nullable: fc.boolean(),
    generated: fc.boolean(),
    classes: fc.oneof(
      fc.subarray<StorageClass>(["blob", "integer", "raw", "real", "text"]),
      fc.constantFrom<StorageClass[]>(["boolean"], ["decimal"]),
    ),
  })
  .map((made): ColumnDescription => (made.classes.length === 0 ? { ...made, nullable: true } : made));

export const tables: fc.Arbitrary<TableDescription> = fc
  .tuple(names, fc.uniqueArray(columns, { minLength: 1, maxLength: 8, selector: (made) => made.name }), fc.nat())
  .map(([name, made, key]) => table(name, made, [key % made.length]));

export const valueFor = (made: ColumnDescription): fc.Arbitrary<Value> => {
  const classes = made.classes.map((storage) => classValues[storage]);
  return made.nullable ? fc.oneof(fc.constant<Value>(null), ...classes) : fc.oneof(...classes);
};

export const rowFor = (described: TableDescription): fc.Arbitrary<Row> => fc.tuple(...described.columns.map(valueFor));

/** avsc with longs as bigint: the other encoder that ours is compared with. */
export function avscType(schemaText: string): avsc.Type {
  const long = avsc.types.LongType.__with({
    fromBuffer: (bytes: Buffer) => bytes.readBigInt64LE(),
    toBuffer: (n: bigint) => {
      const bytes = Buffer.alloc(8);
      bytes.writeBigInt64LE(n);
      return bytes;
    },
    fromJSON: BigInt,
    toJSON: Number,
    isValid: (n: unknown) => typeof n === "bigint",
    compare: (a: bigint, b: bigint) => (a === b ? 0 : a < b ? -1 : 1),
  });
  return avsc.Type.forSchema(JSON.parse(schemaText), { wrapUnions: true, typeHook: (schema) => (isLong(schema) ? long : undefined) });
}

const isLong = (schema: unknown): boolean =>
  schema === "long" || (typeof schema === "object" && schema !== null && "type" in schema && schema.type === "long");

/** A value as avsc wants it: unions as an object with the branch's name. */
export function avscValue(value: Value, made: ColumnDescription): unknown {
  if (value === null) return null;
  const plain = plainValue(value);
  const isUnion = made.nullable || made.classes.length !== 1;
  return isUnion ? { [branchOf(value)]: plain } : plain;
}

function plainValue(value: Value): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value);
  return isRawText(value) ? { raw: Buffer.from(value.rawText) } : value;
}

function branchOf(value: Value): string {
  if (typeof value === "bigint") return "long";
  if (typeof value === "number") return "double";
  if (typeof value === "string") return "string";
  if (typeof value === "boolean") return "boolean";
  return value instanceof Uint8Array ? "bytes" : "tailrace.RawText";
}
