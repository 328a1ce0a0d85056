/** Looks at the source and says what would be done with it: catalogue, profile, plan, and the count of values that would be refused. */
import type { TargetPlan } from "../../core/contracts/plan.js";
import type { ColumnProfile, SourceCatalog, SourceInspector, SourceTable } from "../../core/contracts/source.js";
import { compileMapping } from "../../core/mapping/table-mapping.js";
import { type Census, census } from "../../core/plan/census.js";
import type { Finding } from "../../core/plan/finding.js";
import { makePlan } from "../../core/plan/make-plan.js";
import type { Settings } from "../../core/settings.js";
import type { TableId } from "../../core/vocabulary/ids.js";

export interface Survey {
  readonly catalog: SourceCatalog;
  readonly plan: TargetPlan;
  readonly findings: readonly Finding[];
  /** Tables of the source that the plan has not, each with its reason; those that nobody listed are not among them. */
  readonly leftOut: readonly LeftOutTable[];
  /** Tables of the plan, in its order. */
  readonly captured: readonly SourceTable[];
  /** Values that the mapping refuses; null when nobody asked for the scan. */
  readonly censuses: ReadonlyMap<TableId, Census> | null;
}
export interface LeftOutTable {
  readonly table: TableId;
  readonly code: string;
  readonly reason: string;
}
export interface SurveyOptions {
  readonly applied: TargetPlan | null;
  readonly census: boolean;
  readonly now: Date;
  /** Scans of large tables take long: somebody may want to know which one. */
  readonly onTable: (table: TableId, doing: "profile" | "census") => void;
}

export async function surveySource(inspector: SourceInspector, settings: Settings, options: SurveyOptions): Promise<Survey> {
  const catalog = await inspector.catalog();
  const chosen = settings.onlyListedTables
    ? catalog.tables.filter(({ description }) => settings.tables.has(description.table))
    : catalog.tables;
  const profiles = new Map<TableId, readonly ColumnProfile[]>();
  for (const table of chosen) {
    options.onTable(table.description.table, "profile");
    profiles.set(table.description.table, await inspector.profile(table));
  }
  const { pipeline, prefix } = settings;
  const { plan, findings } = makePlan({ pipeline, prefix, settings, catalog, profiles, applied: options.applied, now: options.now });
  const byName = new Map(catalog.tables.map((table) => [table.description.table, table]));
  const captured = plan.tables.flatMap(({ source, group }): readonly SourceTable[] => {
    const table = byName.get(source);
    return table === undefined ? [] : [{ ...table, description: { ...table.description, group } }];
  });
  const censuses = options.census ? await takeCensuses(inspector, plan, captured, options) : null;
  return { catalog, plan, findings, leftOut: leftOutTables(settings, catalog, plan, findings), captured, censuses };
}

/** By the catalogue, for what the table is; or by the plan, for what its key holds. */
function leftOutTables(
  settings: Settings,
  catalog: SourceCatalog,
  plan: TargetPlan,
  findings: readonly Finding[],
): readonly LeftOutTable[] {
  const isWanted = (table: TableId): boolean => !settings.onlyListedTables || settings.tables.has(table);
  const planned = new Set(plan.tables.map(({ source }) => source));
  const byPlan = catalog.tables
    .map(({ description }) => description.table)
    .filter((table) => !planned.has(table))
    .map((table): LeftOutTable => {
      const finding = findings.find((one) => one.table === table && one.severity !== "note");
      return { table, code: finding?.code ?? "plan.refused", reason: finding?.what ?? "the plan has no place for it" };
    });
  return [...catalog.refused, ...byPlan].filter(({ table }) => isWanted(table));
}

async function takeCensuses(
  inspector: SourceInspector,
  plan: TargetPlan,
  captured: readonly SourceTable[],
  options: SurveyOptions,
): Promise<ReadonlyMap<TableId, Census>> {
  const censuses = new Map<TableId, Census>();
  for (const table of captured) {
    const tablePlan = plan.tables.find(({ source }) => source === table.description.table);
    if (tablePlan === undefined) continue;
    options.onTable(table.description.table, "census");
    censuses.set(tablePlan.source, await census(table.description, compileMapping(tablePlan, table.description), inspector.rows(table)));
  }
  return censuses;
}

/** Errors among the findings, and values that would be refused: what `apply` must not pass over. */
export const gates = (survey: Survey): readonly Finding[] => survey.findings.filter(({ severity }) => severity === "error");
