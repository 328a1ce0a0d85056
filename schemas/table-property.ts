/**
 * The property `tailrace.table` of every Value record: the whole TableDescription, so that a reader needs nothing but the schema's text.
 * Other readers of Avro pass over it.
 */
import { groupId, schemaVersion, tableId, type Topic, topic } from "../core/vocabulary/ids.js";
import type { ColumnDescription, StorageClass, TableDescription } from "../core/vocabulary/table.js";
import { WireFault } from "./wire/fault.js";

export const tableProperty = "tailrace.table";

/** What captures the table: Debezium's envelope names it. */
export type ConnectorName = "sqlite" | "duckdb" | "postgresql";

/** A table and the topic its live changes go to. */
export interface DescribedTable {
  readonly topic: Topic;
  readonly table: TableDescription;
}

export function writeTableProperty({ topic: name, table }: DescribedTable): Record<string, unknown> {
  return {
    topic: name,
    table: table.table,
    group: table.group,
    schema: table.schema,
    key: table.key,
    columns: table.columns.map((column) => ({
      name: column.name,
      type: column.declaredType,
      nullable: column.nullable,
      generated: column.generated,
      classes: column.classes,
    })),
  };
}

export function readTableProperty(property: unknown): DescribedTable {
  const columns = arrayIn(property, "columns").map(readColumn);
  const [first, ...others] = arrayIn(property, "key").map((index) => countOf(index, "key"));
  if (first === undefined) throw new WireFault(`${tableProperty} names no key`);
  if ([first, ...others].some((index) => index >= columns.length))
    throw new WireFault(`${tableProperty} names a key column that is not there`);
  return {
    topic: topic(stringIn(property, "topic")),
    table: {
      table: tableId(stringIn(property, "table")),
      group: groupId(countOf(memberOf(property, "group"), "group")),
      schema: schemaVersion(countOf(memberOf(property, "schema"), "schema")),
      columns,
      key: [first, ...others],
    },
  };
}

function readColumn(property: unknown): ColumnDescription {
  return {
    name: stringIn(property, "name"),
    declaredType: stringIn(property, "type"),
    nullable: booleanIn(property, "nullable"),
    generated: booleanIn(property, "generated"),
    classes: arrayIn(property, "classes").map(classOf),
  };
}

function classOf(value: unknown): StorageClass {
  switch (value) {
    case "integer":
    case "real":
    case "text":
    case "blob":
    case "raw":
    case "boolean":
    case "decimal":
      return value;
    default:
      throw new WireFault(`${tableProperty} names a storage class that is not one`);
  }
}

export function memberOf(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
  return Object.entries(value).find(([member]) => member === name)?.[1];
}

function stringIn(value: unknown, name: string): string {
  const member = memberOf(value, name);
  if (typeof member !== "string") throw new WireFault(`'${name}' is not text`);
  return member;
}

function booleanIn(value: unknown, name: string): boolean {
  const member = memberOf(value, name);
  if (typeof member !== "boolean") throw new WireFault(`'${name}' is neither true nor false`);
  return member;
}

function arrayIn(value: unknown, name: string): readonly unknown[] {
  const member = memberOf(value, name);
  if (!Array.isArray(member)) throw new WireFault(`'${name}' is not a list`);
  return member;
}

function countOf(value: unknown, name: string): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) throw new WireFault(`'${name}' is not a whole number`);
  return value;
}
