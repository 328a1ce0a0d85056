/** The envelope as consumers written for Debezium expect it. */
import { describe, expect, it } from "vitest";
import { topic } from "../../core/vocabulary/ids.js";
import { tableSchemas } from "../../schemas/table-schema.js";
import { column, table } from "./support.js";

interface Field {
  readonly name: string;
  readonly type: unknown;
  readonly default?: unknown;
}
interface RecordSchema {
  readonly name: string;
  readonly namespace: string;
  readonly fields: readonly Field[];
  readonly "connect.name": string;
  readonly "connect.version"?: number;
}

const orders = table("orders", [
  column("id", ["integer"], { declaredType: "INTEGER" }),
  column("name", ["text"], { nullable: true, declaredType: "TEXT" }),
  column("mixed", ["integer", "text"], { nullable: true }),
  column("unseen", [], { nullable: true }),
]);
const schemas = tableSchemas({ topic: topic("tr.orders"), table: orders });
const envelope = JSON.parse(schemas.envelope) as RecordSchema;
const fieldOf = (record: RecordSchema, name: string): Field | undefined => record.fields.find((field) => field.name === name);
const names = (record: RecordSchema): readonly string[] => record.fields.map((field) => field.name);
/** Of `["null", record]`. */
const optionalRecord = (name: string): RecordSchema => {
  const [, record] = (fieldOf(envelope, name)?.type ?? []) as [unknown, RecordSchema];
  return record;
};
const valueRecord = optionalRecord("before");

describe("Debezium's envelope", () => {
  it("has its names, version and order of fields", () => {
    expect([envelope.namespace, envelope.name, envelope["connect.name"], envelope["connect.version"]]).toEqual([
      "tr.orders",
      "Envelope",
      "tr.orders.Envelope",
      2,
    ]);
    expect(names(envelope)).toEqual(["before", "after", "source", "transaction", "op", "ts_ms", "ts_us", "ts_ns"]);
    expect(fieldOf(envelope, "after")).toEqual({ name: "after", type: ["null", "Value"], default: null });
  });

  it("has the source record that all connectors share, then table and change_id", () => {
    const source = fieldOf(envelope, "source")?.type as RecordSchema;
    expect([source.namespace, source.name, source["connect.version"]]).toEqual(["io.debezium.connector.sqlite", "Source", 1]);
    expect(names(source)).toEqual([
      "version",
      "connector",
      "name",
      "ts_ms",
      "snapshot",
      "db",
      "sequence",
      "ts_us",
      "ts_ns",
      "table",
      "change_id",
    ]);
    expect(fieldOf(source, "snapshot")).toEqual({
      name: "snapshot",
      type: [
        {
          type: "string",
          "connect.version": 1,
          "connect.parameters": { allowed: "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental" },
          "connect.default": "false",
          "connect.name": "io.debezium.data.Enum",
        },
        "null",
      ],
      default: "false",
    });
  });

  it("names the connector that captures", () => {
    const ours = JSON.parse(tableSchemas({ topic: topic("tr.orders"), table: orders }, "duckdb").envelope) as RecordSchema;
    const source = fieldOf(ours, "source")?.type as RecordSchema;
    expect([source.namespace, source["connect.name"]]).toEqual(["io.debezium.connector.duckdb", "io.debezium.connector.duckdb.Source"]);
  });

  it("has the transaction block", () => {
    const block = optionalRecord("transaction");
    expect([block.namespace, block.name, block["connect.name"]]).toEqual(["event", "block", "event.block"]);
    expect(names(block)).toEqual(["id", "total_order", "data_collection_order"]);
  });

  it("says of a column its type at the source, and null first with default null where it may be NULL", () => {
    const parameters = (type: string, name: string) => ({ "__debezium.source.column.type": type, "__debezium.source.column.name": name });
    expect(valueRecord["connect.version"]).toBeUndefined();
    expect(valueRecord.fields).toEqual([
      { name: "id", type: { type: "long", "connect.parameters": parameters("INTEGER", "id") } },
      { name: "name", type: ["null", { type: "string", "connect.parameters": parameters("TEXT", "name") }], default: null },
      {
        name: "mixed",
        type: [
          "null",
          { type: "long", "connect.parameters": parameters("", "mixed") },
          { type: "string", "connect.parameters": parameters("", "mixed") },
        ],
        default: null,
      },
      { name: "unseen", type: ["null", { type: "string", "connect.parameters": parameters("", "unseen") }], default: null },
    ]);
  });

  it("has a key record of the key columns, without a version", () => {
    const key = JSON.parse(schemas.key) as RecordSchema;
    expect([key.namespace, key.name, key["connect.name"], key["connect.version"]]).toEqual([
      "tr.orders",
      "Key",
      "tr.orders.Key",
      undefined,
    ]);
    expect(names(key)).toEqual(["id"]);
  });

  it("keeps the key's schema when a column outside the key gets another class", () => {
    const wider = { ...orders, columns: orders.columns.with(1, column("name", ["blob", "text"])) };
    expect(tableSchemas({ topic: topic("tr.orders"), table: wider }).key).toBe(schemas.key);
  });
});
