/** A proposal for people and for machines. Deterministic: sorted, without times, so that two runs can be compared. */
import type { ColumnPlan, TablePlan } from "../../core/contracts/plan.js";
import { printable } from "../../core/errors.js";
import type { Finding } from "../../core/plan/finding.js";
import { tableTopic } from "../../core/topics.js";
import { formatCount, plural } from "../output/format.js";
import type { Paint } from "../output/output.js";
import { renderTable } from "../output/table.js";
import type { Proposal } from "./proposal.js";

export interface PlanPlaces {
  readonly pipeline: string;
  readonly prefix: string;
  readonly places: { readonly source: string; readonly log: string; readonly target: string };
}

/** A value that the mapping would refuse, counted. Never the value. */
export interface CountedRefusal {
  readonly table: string;
  readonly column: string;
  readonly code: string;
  readonly reason: string;
  readonly count: number;
}

export const refusalsOf = ({ survey }: Proposal): readonly CountedRefusal[] =>
  [...(survey.censuses ?? [])]
    .flatMap(([table, { entries }]) =>
      entries.map(({ column, code, reason, count }) => ({ table: String(table), column, code, reason, count })),
    )
    .toSorted((a, b) => order(a.table, b.table) || order(a.column, b.column) || order(a.code, b.code));

const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
const byName = (tables: readonly TablePlan[]): readonly TablePlan[] => tables.toSorted((a, b) => order(a.source, b.source));
const severityRank = { error: 0, warning: 1, note: 2 } as const;
export const sortedFindings = (findings: readonly Finding[]): readonly Finding[] =>
  findings.toSorted(
    (a, b) =>
      severityRank[a.severity] - severityRank[b.severity] ||
      order(a.table, b.table) ||
      order(a.column ?? "", b.column ?? "") ||
      order(a.code, b.code),
  );

export function planData(proposal: Proposal, prefix: string): Readonly<Record<string, unknown>> {
  const { survey } = proposal;
  return {
    tables: byName(survey.plan.tables).map((table) => ({
      ...table,
      topic: tableTopic(prefix, table.source),
      rowsEstimated: rowsOf(proposal, table),
    })),
    leftOut: survey.leftOut,
    findings: sortedFindings(survey.findings),
    refusedValues: survey.censuses === null ? null : refusalsOf(proposal),
    differences: proposal.differences,
    topics: proposal.topics,
    sql: { source: proposal.sourceSql, target: proposal.targetSql },
  };
}

const rowsOf = ({ survey }: Proposal, { source }: TablePlan): number | null =>
  survey.censuses?.get(source)?.rows ?? survey.captured.find(({ description }) => description.table === source)?.rowsEstimated ?? null;

export function planText(proposal: Proposal, { pipeline, prefix, places }: PlanPlaces, paint: Paint): string {
  const { survey } = proposal;
  const head = [
    `${paint.bold("pipeline")} ${pipeline}`,
    `  source ${places.source}`,
    `  log    ${places.log}`,
    `  target ${places.target}`,
  ];
  const tables = byName(survey.plan.tables).flatMap((table) => ["", ...tableText(proposal, table, prefix, paint)]);
  return [...head, ...tables, "", ...findingsText(proposal, paint), ...workText(proposal, paint)].join("\n");
}

function tableText(proposal: Proposal, table: TablePlan, prefix: string, paint: Paint): readonly string[] {
  const { schema, name } = table.target;
  const rows = rowsOf(proposal, table);
  const title = `${paint.bold(printable(table.source))} → ${printable(`${schema}.${name}`)}  ${paint.dim(`topic ${tableTopic(prefix, table.source)}, about ${plural(rows ?? 0, "row")}`)}`;
  const declared = proposal.survey.captured.find(({ description }) => description.table === table.source)?.description.columns ?? [];
  const columns = table.columns.map((column) =>
    columnCells(column, table, declared.find(({ name: n }) => n === column.source)?.declaredType ?? null),
  );
  const grid = renderTable([{ title: "column" }, { title: "source" }, { title: "target" }, { title: "" }], columns, paint);
  return [
    title,
    ...grid.split("\n").map((line) => `  ${line}`),
    ...table.indexes.map(
      ({ name: index, columns: of, unique }) => `  ${unique ? "unique" : "index"} ${printable(index)} (${of.map(printable).join(", ")})`,
    ),
    ...table.foreignKeys.map(
      ({ name: key, columns: of, parent, parentColumns }) =>
        `  foreign key ${printable(key)} (${of.map(printable).join(", ")}) → ${printable(parent.name)} (${parentColumns.map(printable).join(", ")})`,
    ),
    ...(table.dropped.length === 0 ? [] : [`  left out: ${table.dropped.map(printable).join(", ")}`]),
  ];
}

function columnCells(column: ColumnPlan, table: TablePlan, declared: string | null): readonly string[] {
  const remarks = [
    ...(table.key.includes(column.target) ? ["key"] : []),
    ...(column.nullable ? [] : ["not null"]),
    ...(column.source === null ? ["constant, on insert"] : []),
    ...(column.conversion.kind === "as-is"
      ? []
      : [column.conversion.kind === "epoch" ? `epoch-${column.conversion.unit}` : column.conversion.kind]),
  ];
  const source = column.source === null ? "-" : column.source === column.target ? (declared ?? "") : `${column.source} ${declared ?? ""}`;
  return [printable(column.target), printable(source === "" ? "(no type)" : source), printable(column.type), remarks.join(", ")];
}

function findingsText(proposal: Proposal, paint: Paint): readonly string[] {
  const { survey } = proposal;
  const marks = { error: paint.red("error  "), warning: paint.yellow("warning"), note: paint.dim("note   ") };
  const lines = sortedFindings(survey.findings).map(({ severity, table, column, code, what, remedy, count }) => {
    const place = column === undefined ? table : `${table}.${column}`;
    const counted = count === undefined ? "" : ` (${formatCount(count)})`;
    return `${marks[severity]} ${printable(place)}: ${what}${counted}${remedy === "" ? "" : ` ${paint.dim(`▸ ${remedy}`)}`}  ${paint.dim(`[${code}]`)}`;
  });
  const refusals = refusalsOf(proposal).map(
    ({ table, column, code, reason, count }) =>
      `${marks.error} ${printable(`${table}.${column}`)}: ${plural(count, "value")} would stop the pipeline: ${reason}  ${paint.dim(`[${code}]`)}`,
  );
  const clean =
    survey.censuses !== null && refusals.length === 0
      ? [`${paint.green("ok")}      every value that is there now fits its target column`]
      : [];
  return [...lines, ...refusals, ...clean, ...(lines.length + refusals.length + clean.length === 0 ? [] : [""])];
}

function workText({ differences, sourceSql, targetSql, topics, survey }: Proposal, paint: Paint): readonly string[] {
  const missing = topics.filter(({ exists }) => !exists).length;
  if (sourceSql.length + targetSql.length + missing === 0 && differences.length === 0) {
    return [`nothing to do: ${plural(survey.plan.tables.length, "table")} as applied`];
  }
  const signs = { added: paint.green("+"), removed: paint.red("-"), changed: paint.yellow("~") };
  return [
    `${paint.bold("to do")}  target ${plural(targetSql.length, "statement")}, log ${plural(missing, "new topic")}, source ${plural(sourceSql.length, "statement")}  ${paint.dim("(--print-sql shows the SQL)")}`,
    ...differences.map(
      ({ kind, table, item, what }) => `  ${signs[kind]} ${printable(item === null ? table : `${table}: ${item}`)}: ${printable(what)}`,
    ),
  ];
}
