/** Secondary indexes and unique constraints: carried over where they mean the same at the target, named as left out where they do not. */
import type { ColumnPlan, IndexPlan } from "../contracts/plan.js";
import type { ColumnProfile, SourceIndex, SourceTable } from "../contracts/source.js";
import { keepsOrder, onlyGroup } from "../mapping/key-class.js";
import { parseType } from "../mapping/postgres-type.js";
import type { NameSpace } from "./names.js";
import { classesSeen, type PlannedColumns, type Report } from "./plan-columns.js";

/** A B-tree entry must fit a third of a page (2,704 bytes); longer values stop the sink if the index exists. */
const indexedBytesMax = 2_600;

export interface IndexesRequest {
  readonly source: SourceTable;
  readonly planned: PlannedColumns;
  readonly targetName: string;
  readonly profiles: readonly ColumnProfile[];
  /** As applied: what the rows of then allowed stays, whatever the rows of now suggest. */
  readonly applied: readonly IndexPlan[];
  /** Index names of the target schema: PostgreSQL keeps them beside the tables' names. */
  readonly names: NameSpace;
}

export function planIndexes(report: Report, request: IndexesRequest): readonly IndexPlan[] {
  const { source } = request;
  const all = [...source.uniques.map((index) => ({ index, unique: true })), ...source.indexes.map((index) => ({ index, unique: false }))];
  return all.flatMap(({ index, unique }) => planIndex(report, request, index, unique));
}

function planIndex(report: Report, request: IndexesRequest, index: SourceIndex, unique: boolean): readonly IndexPlan[] {
  const leaveOut = (why: string, severity: "note" | "warning" = "note"): readonly IndexPlan[] => {
    const what = `${unique ? "The unique index" : "The index"} '${index.name}' is not carried over: ${why}`;
    report({ severity, code: "index.left-out", what, remedy: "Create it by hand at the target if it is wanted" });
    return [];
  };
  if (index.columns === null) return leaveOut("it is over an expression");
  if (index.partial) return leaveOut("it is partial, and its condition is SQLite's");
  if (index.collated) return leaveOut("a column of it does not compare by bytes (COLLATE)");
  const columns = index.columns.map((name) => request.planned.columns.find((column) => column.source === name));
  const known = columns.filter((column) => column !== undefined);
  if (known.length < columns.length) return leaveOut("a column of it is not carried over");
  const odd = known.find((column) => column.type === "json" || column.type === "xml");
  if (odd !== undefined) return leaveOut(`${odd.type} (column '${odd.target}') has no order`);
  const targets = known.map((column) => column.target);
  const make = (): readonly IndexPlan[] => [
    { name: request.names.take(indexName(request, index, known, unique)), columns: targets, unique },
  ];
  if (request.applied.some((before) => before.unique === unique && before.columns.join("\0") === targets.join("\0"))) return make();
  const long = known.find((column) => bytesMax(request, column) > indexedBytesMax);
  if (long !== undefined) return leaveOut(`column '${long.target}' holds values longer than an index entry may be`, "warning");
  const loose = unique ? known.find((column) => !staysApart(request, column)) : undefined;
  if (loose !== undefined) return leaveOut(`values of column '${loose.source ?? ""}' that differ at the source can be equal at the target`);
  return make();
}

const bytesMax = (request: IndexesRequest, column: ColumnPlan): number =>
  request.profiles.find((profile) => profile.column === column.source)?.bytesMax ?? 0;

/** Unique at the source must mean unique at the target: the conversion keeps apart what is apart. */
function staysApart(request: IndexesRequest, column: ColumnPlan): boolean {
  const description = request.source.description.columns.find((candidate) => candidate.name === column.source);
  const type = parseType(column.type);
  if (description === undefined || type === null) return false;
  const profile = request.profiles.find((candidate) => candidate.column === column.source);
  const classes = profile === undefined ? description.classes : classesSeen(profile);
  if (classes.length === 0) return type.kind !== "date" && type.kind !== "timestamp" && type.kind !== "char" && type.kind !== "jsonb";
  const group = onlyGroup(classes);
  return group !== null && type.kind !== "uuid" && keepsOrder(group, type);
}

/** SQLite's own names for constraints say nothing; everybody else keeps theirs. */
function indexName(request: IndexesRequest, index: SourceIndex, columns: readonly ColumnPlan[], unique: boolean): string {
  if (!index.name.startsWith("sqlite_autoindex_")) return index.name;
  return `${request.targetName}_${columns.map((column) => column.target).join("_")}_${unique ? "key" : "idx"}`;
}
