/**
 * Rows and keys into Avro. One function per column, made from its classes once; the value's JS type tells its storage class. A value of a
 * class that the schema does not have is refused: nothing is ever converted to make it fit.
 */
import { TailraceError } from "../core/errors.js";
import type { ColumnDescription, StorageClass, TableDescription } from "../core/vocabulary/table.js";
import { isRawText, type Row, type Value } from "../core/vocabulary/value.js";
import { branchesOf } from "./table-schema.js";
import { WireFault } from "./wire/fault.js";
import type { GrowingBuffer } from "./wire/growing-buffer.js";

type ValueWriter = (out: GrowingBuffer, value: Value) => void;

export interface RowWriter {
  row(out: GrowingBuffer, row: Row): void;
  key(out: GrowingBuffer, key: Row): void;
}

export function rowWriter(table: TableDescription): RowWriter {
  const columns = table.columns.map((column) => ({ column, write: columnWriter(column) }));
  const key = table.key.map((index) => {
    const found = columns[index];
    if (found === undefined) throw new RangeError("a key column is not there");
    return found;
  });
  return {
    row: listWriter(table, columns),
    key: listWriter(table, key),
  };
}

function listWriter(
  table: TableDescription,
  columns: readonly { readonly column: ColumnDescription; readonly write: ValueWriter }[],
): (out: GrowingBuffer, values: Row) => void {
  const names = columns.map(({ column }) => column.name);
  const writers = columns.map(({ write }) => write);
  return (out, values) => {
    if (values.length !== writers.length)
      throw refused(table, null, new WireFault(`a row of ${values.length} values for ${writers.length} columns`));
    let i = 0;
    try {
      for (const write of writers) write(out, values[i++] ?? null);
    } catch (error) {
      throw error instanceof WireFault ? refused(table, names[i - 1] ?? null, error) : error;
    }
  };
}

function refused(table: TableDescription, column: string | null, cause: WireFault): TailraceError {
  return new TailraceError("schema.value", { what: cause.message, where: { table: table.table, column }, cause });
}

function columnWriter(column: ColumnDescription): ValueWriter {
  const { nullable, classes } = branchesOf(column);
  const [only] = classes;
  if (classes.length === 1 && only !== undefined) return nullable ? nullableWriter(only) : classWriters[only];
  return unionWriter(classes, nullable);
}

/** By far the most common column. */
function nullableWriter(storage: StorageClass): ValueWriter {
  const write = classWriters[storage];
  return (out, value) => {
    if (value === null) {
      out.byte(0);
      return;
    }
    out.byte(2);
    write(out, value);
  };
}

function unionWriter(classes: readonly StorageClass[], nullable: boolean): ValueWriter {
  const shift = nullable ? 1 : 0;
  return (out, value) => {
    if (value === null) {
      if (!nullable) throw new WireFault("NULL in a column that the schema says is never NULL");
      out.byte(0);
      return;
    }
    const storage = storageOf(value);
    const branch = classes.indexOf(storage);
    if (branch === -1) throw new WireFault(`a value of class ${storage} in a column that the schema says holds ${classes.join(", ")}`);
    out.byte((branch + shift) * 2);
    classWriters[storage](out, value);
  };
}

const classWriters: Readonly<Record<StorageClass, ValueWriter>> = {
  integer: (out, value) => {
    if (typeof value !== "bigint") throw differs("integer", value);
    out.long(value);
  },
  real: (out, value) => {
    if (typeof value !== "number") throw differs("real", value);
    out.double(value);
  },
  text: (out, value) => {
    if (typeof value !== "string") throw differs("text", value);
    out.string(value);
  },
  blob: (out, value) => {
    if (!(value instanceof Uint8Array)) throw differs("blob", value);
    out.bytes(value);
  },
  raw: (out, value) => {
    if (!isRawText(value)) throw differs("raw", value);
    out.bytes(value.rawText);
  },
  boolean: (out, value) => {
    if (typeof value !== "boolean") throw differs("boolean", value);
    out.byte(value ? 1 : 0);
  },
  decimal: (out, value) => {
    if (typeof value !== "string") throw differs("decimal", value);
    out.string(value);
  },
};

function storageOf(value: Value): StorageClass {
  if (typeof value === "bigint") return "integer";
  if (typeof value === "number") return "real";
  if (typeof value === "string") return "text";
  if (typeof value === "boolean") return "boolean";
  if (value instanceof Uint8Array) return "blob";
  if (isRawText(value)) return "raw";
  throw new WireFault("a value that no source has");
}

function differs(expected: StorageClass, value: Value): WireFault {
  if (value === null) return new WireFault("NULL in a column that the schema says is never NULL");
  return new WireFault(`a value of class ${storageOf(value)} in a column that the schema says holds ${expected}`);
}
