import { expect, test } from "vitest";
import { ClassesSeen, uniteColumns } from "../../../core/capture/widening.js";
import { groupId, schemaVersion, tableId } from "../../../core/vocabulary/ids.js";
import type { ColumnDescription, TableDescription } from "../../../core/vocabulary/table.js";

const column = (name: string, classes: ColumnDescription["classes"], nullable = false): ColumnDescription => ({
  name,
  declaredType: "",
  nullable,
  generated: false,
  classes,
});
const table: TableDescription = {
  table: tableId("t"),
  group: groupId(1),
  schema: schemaVersion(1),
  columns: [column("id", ["integer"]), column("v", ["text"], true)],
  key: [0],
};

test("rows that fit leave a description as it is", () => {
  const seen = new ClassesSeen(table);
  seen.row([1n, "a"]);
  seen.row([2n, null]);
  seen.key([3n]);
  expect(seen.wider()).toBeNull();
});

test("a new class, a first NULL and a class in a key alone each widen their column only", () => {
  const seen = new ClassesSeen(table);
  seen.row([1n, new Uint8Array()]);
  seen.row([1n, { rawText: new Uint8Array([255]) }]);
  seen.key([1.5]);
  seen.row([null, "a"]);
  expect(seen.wider()).toEqual([column("id", ["integer", "real"], true), column("v", ["blob", "raw", "text"], true)]);
});

test("two descriptions of a column unite whatever either holds", () => {
  const united = uniteColumns(column("v", ["text"]), column("v", ["integer"], true));
  expect(united).toEqual(column("v", ["integer", "text"], true));
});
