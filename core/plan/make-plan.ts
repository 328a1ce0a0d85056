/**
 * From catalogue, profile and settings to the plan of the target. Pure: the same input gives the same plan.
 *
 * Whatever cannot be done as asked is a finding with a remedy, all of them at once. A table whose key cannot be carried is
 * left out with a warning, unless somebody asked for it by name; everything else that cannot be planned is an error. Nothing is left out without a finding that says so.
 */
import type { TablePlan, TargetPlan } from "../contracts/plan.js";
import type { ColumnProfile, SourceCatalog, SourceTable } from "../contracts/source.js";
import { printable } from "../errors.js";
import type { Settings } from "../settings.js";
import { tableTopic } from "../topics.js";
import { type PipelineId, type TableId, tableId } from "../vocabulary/ids.js";
import type { Finding } from "./finding.js";
import { foldCase, nameFault, NameSpace, parseTargetName, schemaFault, type TargetName } from "./names.js";
import { nearestName } from "./nearest.js";
import { planColumns, type Report } from "./plan-columns.js";
import {
  type DeclaredGroups,
  groupTables,
  reportMoves,
  reportOpenGroups,
  reportRenames,
  reportSharedFile,
  reportUnknownMembers,
} from "./plan-groups.js";
import { planForeignKeys } from "./plan-foreign-keys.js";
import { planIndexes } from "./plan-indexes.js";
import { viewFinding } from "./plan-views.js";
import { parentsFirst } from "./table-order.js";

export type { Finding } from "./finding.js";

export interface PlanRequest {
  readonly pipeline: PipelineId;
  readonly prefix: string;
  readonly settings: Pick<Settings, "tables" | "onlyListedTables" | "target"> & Partial<Pick<Settings, "groups" | "source">>;
  readonly catalog: SourceCatalog;
  /** By table; a table without a profile is planned by its declarations alone. */
  readonly profiles: ReadonlyMap<TableId, readonly ColumnProfile[]>;
  /** The plan that is applied already, if any: what it decided by itself (types by the rows of then, `run-start`) stays. */
  readonly applied?: TargetPlan | null;
  readonly now: Date;
}

export interface PlanResult {
  /** Holds the tables that can be planned. Not to be applied while any finding is an error. */
  readonly plan: TargetPlan;
  readonly findings: readonly Finding[];
}

const columnsMax = 1_600;

export function makePlan(request: PlanRequest): PlanResult {
  const findings: Finding[] = [];
  const failed = new Set<TableId>();
  const reportFor =
    (table: TableId): Report =>
    (found) => {
      if (found.severity === "error") failed.add(table);
      const finding = isAskedFor(request, table) ? found : leftOut(found);
      findings.push({ ...finding, table, what: printable(finding.what), remedy: printable(finding.remedy) });
    };

  reportUnknownTables(reportFor, request);
  reportRefusedTables(reportFor, request);
  const sources = chosenTables(request);
  const targets = new Map(
    sources.map((source) => [source.description.table, targetName(reportFor(source.description.table), request, source)]),
  );
  const declared: DeclaredGroups = request.settings.groups ?? new Map();
  reportUnknownMembers(
    reportFor,
    declared,
    sources.map(({ description }) => description.table),
    new Set(request.catalog.refused.map(({ table }) => table)),
  );
  refuseSharedTargets(reportFor, targets);
  warnSharedTopics(reportFor, request.prefix, sources);
  const bare = planTables(reportFor, request, sources, targets);
  const kept = new Map([...bare].filter(([table]) => !failed.has(table)));
  const tables = sources.flatMap((source): readonly TablePlan[] => {
    const plan = kept.get(source.description.table);
    if (plan === undefined) return [];
    return [{ ...plan, foreignKeys: planForeignKeys(reportFor(plan.source), source, kept) }];
  });
  reportOpenGroups(reportFor, sources, kept);
  reportMoves(reportFor, tables, request.applied ?? null);
  reportRenames(reportFor, tables, request.applied ?? null);
  reportSharedFile(reportFor, tables, request.settings.source?.kind);
  reportBeside(reportFor, request, tables);
  return {
    plan: { version: 1, pipeline: request.pipeline, prefix: request.prefix, tables: parentsFirst(tables) },
    findings,
  };
}

type ReportFor = (table: TableId) => Report;

/** By name in the settings, or by an earlier `apply`: such a table is moved, or nothing is. */
function isAskedFor({ settings, applied }: PlanRequest, table: TableId): boolean {
  return settings.tables.has(table) || (applied ?? null)?.tables.some(({ source }) => source === table) === true;
}

/** A key that no mapping can carry is like no key at all: it must not keep all other tables back. Everything else the settings can mend. */
function leftOut<F extends Pick<Finding, "severity" | "remedy" | "code">>(found: F): F {
  return found.severity === "error" && found.code === "plan.key-order"
    ? { ...found, severity: "warning", remedy: `${found.remedy}. The table is left out until then` }
    : found;
}

function chosenTables(request: PlanRequest): readonly SourceTable[] {
  if (!request.settings.onlyListedTables) return request.catalog.tables;
  return request.catalog.tables.filter((table) => request.settings.tables.has(table.description.table));
}

function reportUnknownTables(reportFor: ReportFor, request: PlanRequest): void {
  const { catalog, settings } = request;
  const known = [...catalog.tables.map((table) => table.description.table), ...catalog.refused.map((refusal) => refusal.table)];
  for (const name of settings.tables.keys()) {
    if (known.some((table) => table === name)) continue;
    const near = nearestName(name, known);
    reportFor(tableId(name))({
      severity: "error",
      code: "plan.refused",
      what: `The settings name a table '${name}' that the source does not have`,
      remedy: near === null ? "Take it out of `tables:`" : `Did you mean '${near}'?`,
    });
  }
}

/** Nobody makes them: the target's tables are the sink's until the application is switched over. */
function reportBeside(reportFor: ReportFor, { catalog }: PlanRequest, tables: readonly TablePlan[]): void {
  for (const it of catalog.beside ?? []) {
    const report = reportFor(tableId(it.name));
    if (it.kind === "other") report({ severity: "note", code: "source.note", what: it.what, remedy: "" });
    else report(viewFinding(it, tables));
  }
}

/** A table that cannot be captured is an error only for somebody who asked for it by name. */
function reportRefusedTables(reportFor: ReportFor, request: PlanRequest): void {
  for (const { table, code, reason } of request.catalog.refused) {
    const isListed = request.settings.tables.has(table);
    if (request.settings.onlyListedTables && !isListed) continue;
    reportFor(table)({
      severity: isListed ? "error" : "warning",
      code,
      what: `Table '${table}' cannot be captured exactly: ${reason}`,
      remedy: isListed ? "Mend the table, or take it out of `tables:`" : "It is left out until this is mended",
    });
  }
}

function targetName(report: Report, request: PlanRequest, source: SourceTable): TargetName {
  const { table } = source.description;
  const to = request.settings.tables.get(table)?.to ?? null;
  const asked = to === null ? { schema: request.settings.target.schema, name: table } : parseTargetName(to, request.settings.target.schema);
  const name = asked ?? { schema: request.settings.target.schema, name: to ?? table };
  const fault = asked === null ? "it is not of the form schema.name" : (schemaFault(name.schema) ?? nameFault(name.name));
  if (fault !== null) {
    report({
      severity: "error",
      code: "table.name",
      what: `Table '${table}' cannot be '${name.schema}.${name.name}' at the target: ${fault}`,
      remedy: "Give it another target name in `tables:` (`to: schema.name`)",
    });
  }
  return name;
}

function refuseSharedTargets(reportFor: ReportFor, targets: ReadonlyMap<TableId, TargetName>): void {
  const owners = new Map<string, TableId>();
  for (const [table, target] of targets) {
    const folded = foldCase(JSON.stringify([target.schema, target.name]));
    const owner = owners.get(folded);
    if (owner !== undefined) {
      reportFor(table)({
        severity: "error",
        code: "plan.refused",
        what: `Tables '${owner}' and '${table}' would both be '${target.schema}.${target.name}' at the target`,
        remedy: "Give one of them another target name (`to`)",
      });
    }
    owners.set(folded, table);
  }
}

/** Kafka refuses two topics whose names differ only in `.` and `_`, because its metrics cannot tell them apart. */
function warnSharedTopics(reportFor: ReportFor, prefix: string, sources: readonly SourceTable[]): void {
  const owners = new Map<string, TableId>();
  for (const { description } of sources) {
    const folded = tableTopic(prefix, description.table).replaceAll(".", "_");
    const owner = owners.get(folded);
    if (owner !== undefined) {
      reportFor(description.table)({
        severity: "warning",
        code: "table.name",
        what: `Kafka takes the topics of '${owner}' and '${description.table}' for one name`,
        remedy: "Use the embedded log, or rename one of the tables",
      });
    }
    owners.set(folded, description.table);
  }
}

function planTables(
  reportFor: ReportFor,
  request: PlanRequest,
  sources: readonly SourceTable[],
  targets: ReadonlyMap<TableId, TargetName>,
): ReadonlyMap<TableId, TablePlan> {
  const namesBySchema = new Map<string, NameSpace>();
  for (const { schema, name } of targets.values()) {
    const names = namesBySchema.get(schema) ?? new NameSpace();
    // PostgreSQL keeps tables, indexes and the key's own index in one space of names.
    for (const taken of [name, `${name}_pkey`]) names.reserve(taken);
    namesBySchema.set(schema, names);
  }
  const plans = sources.flatMap((source): readonly [TableId, TablePlan][] => {
    const target = targets.get(source.description.table);
    if (target === undefined) return [];
    const names = namesBySchema.get(target.schema) ?? new NameSpace();
    const plan = planTable(reportFor(source.description.table), { request, source, target, names });
    return plan === null ? [] : [[plan.source, plan]];
  });
  return new Map(plans);
}

interface TableRequest {
  readonly request: PlanRequest;
  readonly source: SourceTable;
  readonly target: TargetName;
  readonly names: NameSpace;
}

function planTable(report: Report, { request, source, target, names }: TableRequest): TablePlan | null {
  const { description } = source;
  const profiles = request.profiles.get(description.table) ?? [];
  const applied = request.applied?.tables.find((table) => table.source === description.table);
  const planned = planColumns(report, {
    table: description,
    profiles,
    settings: request.settings.tables.get(description.table),
    applied,
    now: request.now,
  });
  for (const note of source.notes) report({ severity: "note", code: "source.note", what: note, remedy: "" });
  if (planned.columns.length > columnsMax) {
    report({
      severity: "error",
      code: "table.too-wide",
      what: `The table would have ${planned.columns.length} columns, and PostgreSQL takes ${columnsMax}`,
      remedy: "Leave columns out (`drop: true`)",
    });
  }
  const keyColumns = description.key.map((i) => planned.columns.find((column) => column.source === description.columns[i]?.name));
  const [first, ...others] = keyColumns.flatMap((column) => (column === undefined ? [] : [column.target]));
  // A dropped key column has been reported.
  if (first === undefined || others.length + 1 < keyColumns.length) return null;
  return {
    source: description.table,
    ...groupTables(request.settings.groups ?? new Map(), request.applied ?? null)(description.table),
    target,
    columns: planned.columns,
    key: [first, ...others],
    indexes: planIndexes(report, { source, planned, targetName: target.name, profiles, applied: applied?.indexes ?? [], names }),
    foreignKeys: [],
    dropped: planned.dropped,
  };
}
