import type { Conversion } from "../../../core/contracts/plan.js";
import { compileMapping, type TableMapping } from "../../../core/mapping/table-mapping.js";
import { schemaVersion, tableId, theGroup } from "../../../core/vocabulary/ids.js";
import type { StorageClass } from "../../../core/vocabulary/table.js";
import type { Value } from "../../../core/vocabulary/value.js";

export interface OneColumn {
  readonly conversion?: Conversion;
  /** The column is the key itself, with these classes seen so far. */
  readonly key?: readonly StorageClass[];
  readonly nullable?: boolean;
}

/** A table of a key and one column `v` of the type, or of the key `v` alone. */
export function mappingOf(type: string, options: OneColumn = {}): TableMapping {
  const isKey = options.key !== undefined;
  const column = { written: "always", constant: null, nullable: options.nullable ?? true } as const;
  const v = { ...column, source: "v", target: "v", type, conversion: options.conversion ?? { kind: "as-is" as const } };
  const id = { ...column, source: "id", target: "id", type: "bigint", conversion: { kind: "as-is" as const } };
  const described = { declaredType: "", nullable: true, generated: false };
  return compileMapping(
    {
      source: tableId("t"),
      group: theGroup,
      target: { schema: "public", name: "t" },
      columns: isKey ? [v] : [id, v],
      key: [isKey ? "v" : "id"],
      indexes: [],
      foreignKeys: [],
      dropped: [],
    },
    {
      table: tableId("t"),
      group: theGroup,
      schema: schemaVersion(1),
      columns: isKey
        ? [{ ...described, name: "v", classes: options.key ?? [] }]
        : [
            { ...described, name: "id", classes: ["integer"] },
            { ...described, name: "v", classes: [] },
          ],
      key: [0],
    },
  );
}

/** The text of one value, or the code it is refused with. */
export function mapOne(type: string, value: Value, options: OneColumn = {}): string | null {
  const mapping = mappingOf(type, options);
  const mapped = mapping.map(options.key === undefined ? [1n, value] : [value]);
  return mapped.kind === "row" ? (mapped.row.at(-1) ?? null) : mapped.code;
}
