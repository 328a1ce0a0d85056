/**
 * The Avro schemas of one table: key, envelope, chunk. The envelope is Debezium's, field for field, in its order; the order of fields here is
 * the order of bytes on the wire, and `envelope-writer.ts` follows it. Fingerprints of these texts are pinned by tests.
 *
 * A column's type is the union of its storage classes. What Avro cannot say of a column (its name where Avro forbids it, the declared type)
 * stands in `connect.parameters`, as Debezium writes it; the whole description in `tailrace.table`.
 */
import type { ColumnDescription, StorageClass } from "../core/vocabulary/table.js";
import { avroFieldNames, avroNamespace } from "./names.js";
import { type ConnectorName, type DescribedTable, tableProperty, writeTableProperty } from "./table-property.js";

type Avro = string | readonly Avro[] | { readonly [property: string]: unknown };

export interface TableSchemas {
  readonly key: string;
  readonly envelope: string;
  readonly chunk: string;
  /** Full name of the chunk's record, for its subject. */
  readonly chunkName: string;
}

/** Text whose bytes are not UTF-8. A record, so that it cannot be taken for the column's blobs. */
export const rawTextName = "tailrace.RawText";

export function tableSchemas(described: DescribedTable, connector: ConnectorName = "sqlite"): TableSchemas {
  const namespace = avroNamespace(described.topic);
  return {
    key: JSON.stringify(keyRecord(described, namespace, new Set())),
    envelope: JSON.stringify(envelopeRecord(described, namespace, connector)),
    chunk: JSON.stringify(chunkRecord(described, namespace)),
    chunkName: `${namespace}.Chunk`,
  };
}

/** The classes in the order of the branches; a column that has held nothing but NULL so far is written as text that may be null. */
export function branchesOf(column: ColumnDescription): { readonly nullable: boolean; readonly classes: readonly StorageClass[] } {
  return column.classes.length === 0 ? { nullable: true, classes: ["text"] } : column;
}

function keyRecord({ table }: DescribedTable, namespace: string, defined: Set<string>): Avro {
  const names = avroFieldNames(table.columns.map((column) => column.name));
  const fields = table.key.map((index) => columnField(table.columns[index], names[index], defined));
  return { type: "record", name: "Key", namespace, fields, "connect.name": `${namespace}.Key` };
}

function valueRecord(described: DescribedTable, namespace: string, defined: Set<string>): Avro {
  const { columns } = described.table;
  const names = avroFieldNames(columns.map((column) => column.name));
  return {
    type: "record",
    name: "Value",
    namespace,
    fields: columns.map((column, i) => columnField(column, names[i], defined)),
    "connect.name": `${namespace}.Value`,
    [tableProperty]: writeTableProperty(described),
  };
}

function columnField(column: ColumnDescription | undefined, name: string | undefined, defined: Set<string>): Avro {
  if (column === undefined || name === undefined) throw new RangeError("a key column is not there");
  const { nullable, classes } = branchesOf(column);
  const branches = classes.map((storage) => classType(storage, column, defined));
  if (nullable) return { name, type: ["null", ...branches], default: null };
  const [only] = branches;
  return { name, type: branches.length === 1 && only !== undefined ? only : branches };
}

function classType(storage: StorageClass, column: ColumnDescription, defined: Set<string>): Avro {
  if (storage === "raw") return rawText(defined);
  const type = { integer: "long", real: "double", text: "string", blob: "bytes", boolean: "boolean", decimal: "string" }[storage];
  const parameters = { "__debezium.source.column.type": column.declaredType, "__debezium.source.column.name": column.name };
  return { type, "connect.parameters": parameters };
}

/** Avro wants the definition once in a schema, at its first use. */
function rawText(defined: Set<string>): Avro {
  if (defined.has(rawTextName)) return rawTextName;
  defined.add(rawTextName);
  const [namespace, name] = rawTextName.split(".");
  return { type: "record", name, namespace, fields: [{ name: "raw", type: "bytes" }], "connect.name": rawTextName };
}

function envelopeRecord(described: DescribedTable, namespace: string, connector: ConnectorName): Avro {
  return {
    type: "record",
    name: "Envelope",
    namespace,
    fields: [
      optional("before", valueRecord(described, namespace, new Set())),
      optional("after", "Value"),
      { name: "source", type: sourceRecord(connector) },
      optional("transaction", transactionRecord),
      { name: "op", type: "string" },
      optional("ts_ms", "long"),
      optional("ts_us", "long"),
      optional("ts_ns", "long"),
    ],
    "connect.version": 2,
    "connect.name": `${namespace}.Envelope`,
  };
}

const optional = (name: string, type: Avro): Avro => ({ name, type: ["null", type], default: null });

const snapshotType: Avro = {
  type: "string",
  "connect.version": 1,
  "connect.parameters": { allowed: "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental" },
  "connect.default": "false",
  "connect.name": "io.debezium.data.Enum",
};

const sourceRecord = (connector: ConnectorName): Avro => ({
  type: "record",
  name: "Source",
  namespace: `io.debezium.connector.${connector}`,
  fields: [
    { name: "version", type: "string" },
    { name: "connector", type: "string" },
    { name: "name", type: "string" },
    { name: "ts_ms", type: "long" },
    { name: "snapshot", type: [snapshotType, "null"], default: "false" },
    { name: "db", type: "string" },
    optional("sequence", "string"),
    optional("ts_us", "long"),
    optional("ts_ns", "long"),
    { name: "table", type: "string" },
    { name: "change_id", type: "long" },
  ],
  "connect.version": 1,
  "connect.name": `io.debezium.connector.${connector}.Source`,
});

const transactionRecord: Avro = {
  type: "record",
  name: "block",
  namespace: "event",
  fields: [
    { name: "id", type: "string" },
    { name: "total_order", type: "long" },
    { name: "data_collection_order", type: "long" },
  ],
  "connect.version": 1,
  "connect.name": "event.block",
};

/** Ours alone. `scope` is open where `after` or `upTo` is null; the rows are complete within it. */
function chunkRecord(described: DescribedTable, namespace: string): Avro {
  const defined = new Set<string>();
  return {
    type: "record",
    name: "Chunk",
    namespace,
    fields: [
      { name: "reread", type: "string" },
      { name: "history", type: "long" },
      { name: "order", type: "long" },
      { name: "index", type: "long" },
      { name: "epoch", type: "long" },
      optional("after", keyRecord(described, namespace, defined)),
      optional("upTo", "Key"),
      { name: "last", type: "boolean" },
      { name: "rows", type: { type: "array", items: valueRecord(described, namespace, defined) } },
    ],
    "connect.name": `${namespace}.Chunk`,
  };
}
