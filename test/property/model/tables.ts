/** The model's two tables as the pipeline is told of them. */
import { schemaVersion, tableId, theGroup } from "../../../core/vocabulary/ids.js";
import type { ColumnDescription, TableDescription } from "../../../core/vocabulary/table.js";
import type { Key, Row } from "../../../core/vocabulary/value.js";
import type { Kinds, TableName } from "./database.js";

const column = (name: string): ColumnDescription => ({
  name,
  declaredType: "",
  nullable: true,
  generated: false,
  classes: ["integer", "text"],
});
/** What the first rows hold; whatever else comes widens it. */
const narrow = (name: string): ColumnDescription => ({ ...column(name), nullable: false, classes: ["integer"] });

/** Key columns, then u (A) or p (B), then v. */
export function columnsOf(table: TableName, kinds: Kinds, isNarrow = false): TableDescription {
  const composite = kinds[table] === "composite";
  const names = [...(composite ? ["k1", "k2"] : ["k"]), table === "A" ? "u" : "p", "v"];
  return {
    table: tableId(table),
    group: theGroup,
    schema: schemaVersion(1),
    columns: names.map(isNarrow ? narrow : column),
    key: composite ? [0, 1] : [0],
  };
}

export const keyLength = (table: TableName, kinds: Kinds): number => (kinds[table] === "composite" ? 2 : 1);
export const keyOfRow = (row: Row, length: number): Key => row.slice(0, length);
