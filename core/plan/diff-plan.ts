/** What differs between the plan that was applied and the one that is wanted. Empty: nothing to apply. */
import type { ColumnPlan, ForeignKeyPlan, TablePlan, TargetPlan } from "../contracts/plan.js";
import type { TableId } from "../vocabulary/ids.js";

export interface PlanDifference {
  readonly kind: "added" | "removed" | "changed";
  readonly table: TableId;
  /** Target name of the column, index or foreign key; null: the table itself. */
  readonly item: string | null;
  readonly what: string;
}

export function comparePlans(applied: TargetPlan, wanted: TargetPlan): readonly PlanDifference[] {
  const before = new Map(applied.tables.map((table) => [table.source, table]));
  const after = new Map(wanted.tables.map((table) => [table.source, table]));
  const removed = applied.tables
    .filter((table) => !after.has(table.source))
    .map((table): PlanDifference => tableDifference("removed", table));
  const rest = wanted.tables.flatMap((table) => {
    const old = before.get(table.source);
    return old === undefined ? [tableDifference("added", table)] : compareTables(old, table);
  });
  return [...removed, ...rest];
}

const tableDifference = (kind: "added" | "removed", table: TablePlan): PlanDifference => ({
  kind,
  table: table.source,
  item: null,
  what: `table ${table.target.schema}.${table.target.name}`,
});

function compareTables(before: TablePlan, after: TablePlan): readonly PlanDifference[] {
  const table = after.source;
  const changes: PlanDifference[] = [];
  const changed = (what: string): void => {
    changes.push({ kind: "changed", table, item: null, what });
  };
  const [from, to] = [before, after].map(({ target }) => `${target.schema}.${target.name}`);
  if (from !== to) changed(`target ${from} becomes ${to}`);
  if (before.group !== after.group) changed(`group ${before.group} becomes ${after.group}`);
  if (!same(before.key, after.key)) changed(`key (${before.key.join(", ")}) becomes (${after.key.join(", ")})`);
  if (!same([...before.dropped].sort(), [...after.dropped].sort())) changed("other columns are left out");
  const order = (plan: TablePlan): readonly string[] => plan.columns.map((column) => column.target);
  if (!same(order(before), order(after)) && same([...order(before)].sort(), [...order(after)].sort())) changed("columns in another order");
  return [
    ...changes,
    ...compareNamed(table, before.columns, after.columns, { nameOf: (column) => column.target, say: sayColumn }),
    ...compareNamed(table, before.indexes, after.indexes, {
      nameOf: (index) => index.name,
      say: (index) => `${index.unique ? "unique " : ""}index (${index.columns.join(", ")})`,
    }),
    ...compareNamed(table, before.foreignKeys, after.foreignKeys, {
      nameOf: (key) => key.name,
      say: (key) =>
        `foreign key (${key.columns.join(", ")}) to ${key.parent.schema}.${key.parent.name} (${key.parentColumns.join(", ")})${sayActions(key)}`,
    }),
  ];
}

const sayActions = ({ wanted }: ForeignKeyPlan): string =>
  wanted === undefined ? "" : `, after the cutover on delete ${wanted.onDelete.toLowerCase()}, on update ${wanted.onUpdate.toLowerCase()}`;

function sayColumn(column: ColumnPlan): string {
  const from = column.source === null ? "constant" : `from '${column.source}'`;
  const unit = column.conversion.kind === "epoch" || column.conversion.kind === "counted" ? ` ${column.conversion.unit}` : "";
  const form = column.conversion.kind === "as-is" ? "" : `, ${column.conversion.kind}${unit}`;
  return `column ${column.type}${column.nullable ? "" : " not null"} ${from}${form}`;
}

interface Wording<T> {
  readonly nameOf: (item: T) => string;
  readonly say: (item: T) => string;
}

function compareNamed<T>(table: TableId, before: readonly T[], after: readonly T[], wording: Wording<T>): readonly PlanDifference[] {
  const { nameOf, say } = wording;
  const old = new Map(before.map((item) => [nameOf(item), item]));
  const names = new Set(after.map(nameOf));
  const removed = before
    .filter((item) => !names.has(nameOf(item)))
    .map((item): PlanDifference => ({ kind: "removed", table, item: nameOf(item), what: say(item) }));
  const rest = after.flatMap((item): readonly PlanDifference[] => {
    const was = old.get(nameOf(item));
    if (was === undefined) return [{ kind: "added", table, item: nameOf(item), what: say(item) }];
    if (same(was, item)) return [];
    const what = say(was) === say(item) ? `${say(item)}: another constant` : `${say(was)} becomes ${say(item)}`;
    return [{ kind: "changed", table, item: nameOf(item), what }];
  });
  return [...removed, ...rest];
}

/** Plans are plain JSON: equal when their values are, whatever the order of their keys (a plan read back from jsonb has another). */
function same(a: unknown, b: unknown): boolean {
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return a === b;
  const [left, right] = [Object.entries(a), new Map(Object.entries(b))];
  return left.length === right.size && left.every(([name, value]) => right.has(name) && same(value, right.get(name)));
}
