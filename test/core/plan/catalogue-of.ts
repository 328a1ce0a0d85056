/** A catalogue in few words: columns as `name declared type`, `!` behind a NOT NULL one, and their values for the profile. */
import type { ColumnProfile, SourceCatalog, SourceForeignKey, SourceIndex, SourceTable } from "../../../core/contracts/source.js";
import { makePlan, type PlanRequest, type PlanResult } from "../../../core/plan/make-plan.js";
import { profileRows } from "../../../core/plan/profile.js";
import type { ColumnSettings, TableSettings } from "../../../core/settings.js";
import { pipelineId, schemaVersion, type TableId, tableId, theGroup } from "../../../core/vocabulary/ids.js";
import type { Row } from "../../../core/vocabulary/value.js";

export interface TableWords {
  readonly name: string;
  readonly columns: readonly string[];
  readonly key?: readonly [number, ...number[]];
  readonly rows?: readonly Row[];
  readonly uniques?: readonly Partial<SourceIndex>[];
  readonly indexes?: readonly Partial<SourceIndex>[];
  readonly foreignKeys?: readonly (readonly [columns: string[], parent: string, parentColumns: string[]])[];
}

export function tableOf(words: TableWords): SourceTable {
  const index = (partial: Partial<SourceIndex>): SourceIndex => ({ name: "i", columns: [], partial: false, collated: false, ...partial });
  return {
    description: {
      table: tableId(words.name),
      group: theGroup,
      schema: schemaVersion(1),
      columns: words.columns.map((column) => {
        const [name = "", ...type] = column.replace("!", "").split(" ");
        return { name, declaredType: type.join(" "), nullable: !column.endsWith("!"), generated: false, classes: [] };
      }),
      key: words.key ?? [0],
    },
    rowsEstimated: words.rows?.length ?? 0,
    uniques: (words.uniques ?? []).map(index),
    indexes: (words.indexes ?? []).map(index),
    foreignKeys: (words.foreignKeys ?? []).map(
      ([columns, parent, parentColumns]): SourceForeignKey => ({
        columns,
        parent: tableId(parent),
        parentColumns,
        onDelete: "CASCADE",
        onUpdate: "NO ACTION",
      }),
    ),
    notes: [],
  };
}

export interface PlanWords extends Partial<Omit<PlanRequest, "settings" | "catalog" | "profiles">> {
  readonly tables: readonly TableWords[];
  readonly refused?: SourceCatalog["refused"];
  readonly settings?: Readonly<Record<string, { readonly to?: string; readonly columns?: Readonly<Record<string, ColumnSettings>> }>>;
  readonly onlyListedTables?: boolean;
}

export function planOf(words: PlanWords): PlanResult {
  const tables = words.tables.map(tableOf);
  const profiles = new Map<TableId, readonly ColumnProfile[]>(
    tables.map((table, i) => [table.description.table, profileRows(table.description, [words.tables[i]?.rows ?? []])]),
  );
  const settings = Object.entries(words.settings ?? {}).map(([name, { to, columns }]): [string, TableSettings] => [
    name,
    { to: to ?? null, key: null, columns: new Map(Object.entries(columns ?? {})) },
  ]);
  return makePlan({
    pipeline: pipelineId("shop"),
    prefix: "shop",
    settings: { tables: new Map(settings), onlyListedTables: words.onlyListedTables ?? false, target: { url: null, schema: "public" } },
    catalog: { tables, refused: words.refused ?? [] },
    profiles,
    applied: words.applied ?? null,
    now: words.now ?? new Date("2026-11-20T10:11:12.125Z"),
  });
}

/** `severity code column` of each finding that is no note, or of all. */
export const said = (result: PlanResult, all = false): readonly string[] =>
  result.findings
    .filter((finding) => all || finding.severity !== "note")
    .map(({ severity, code, column }) => [severity, code, column].filter((word) => word !== undefined).join(" "));

export const map = (more: Partial<ColumnSettings & { readonly kind: "map" }> = {}): ColumnSettings => ({
  kind: "map",
  to: null,
  type: null,
  from: null,
  ...more,
});
