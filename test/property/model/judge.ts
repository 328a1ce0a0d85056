/** The judge: compares the target with what the source was at the cut. Reads anchor and resume token as text, not through the code that wrote them. */
import type { AppliedCut } from "../../../core/contracts/log.js";
import { cutsTopic } from "../../../core/topics.js";
import { formatPosition } from "../../../core/vocabulary/position.js";
import { type Key, keyText } from "../../../core/vocabulary/value.js";
import type { MemoryLog } from "../../support/memory-log-store.js";
import { prefix } from "./codec.js";
import { type ModelDatabase, type Rows, type TableName, tableNames, tableNumber } from "./database.js";
import { numberOfKey, rankOf } from "./keys.js";
import type { ModelTarget } from "./target.js";
import { keyLength, keyOfRow } from "./tables.js";

interface Judged {
  readonly log: MemoryLog;
  readonly database: ModelDatabase;
  readonly target: ModelTarget;
}

/** null: nothing is wrong. Without `truth` the source's state at the cut's anchor. */
export function whatIsWrong({ log, database, target }: Judged, applied: AppliedCut, truth: Rows | null = null): string | null {
  const [, ts] = JSON.parse(Buffer.from(applied.anchor).toString()) as [number, number | null];
  const rows = truth ?? database.truth.get(ts ?? 0);
  if (rows === undefined) return `no transaction of the source ended at ${ts}`;
  const upTo = truth === null ? cursorsAt(log, applied) : new Map<TableName, Key | "none">();
  // The cut was lost with the log's tail: nobody can say how far its tables were.
  if (upTo === null) return null;
  for (const table of tableNames) {
    if (database.retired.has(table)) continue;
    const limit = upTo.get(table) ?? null;
    const there = new Map(
      [...target.rows[table]].filter(([, row]) => within(database, table, keyOfRow(row, keyLength(table, database.kinds)), limit)),
    );
    const here = new Map(
      [...rows[table].keys()]
        .filter((n) => within(database, table, database.keyOf(table, n), limit))
        .map((n) => [keyText(database.keyOf(table, n)), database.rowOf(table, n, rows) ?? []]),
    );
    const [a, b] = [show(there), show(here)];
    if (a !== b) return `table ${table}: target [${a}] source [${b}]`;
  }
  return null;
}

const show = (rows: ReadonlyMap<string, Key>): string =>
  [...rows]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, row]) => keyText(row).replaceAll("\u0000", "/"))
    .join(" ");

function within(database: ModelDatabase, table: TableName, key: Key, limit: Key | "none" | null): boolean {
  if (limit === null) return true;
  if (limit === "none") return false;
  const kind = database.kinds[table];
  return rankOf(kind, numberOfKey(key)) <= rankOf(kind, numberOfKey(limit));
}

/** Tables whose rows the target need not have yet, and up to where it must. A table that was only asked for again is always whole. */
function cursorsAt(log: MemoryLog, applied: AppliedCut): ReadonlyMap<TableName, Key | "none"> | null {
  const record = log.records(cutsTopic(prefix)).find(({ offset }) => offset === applied.offset);
  const cut = JSON.parse(Buffer.from(record?.value ?? []).toString() || "{}") as { kind?: string; position?: string; resume?: string };
  if (cut.kind !== "cut" || cut.position !== formatPosition(applied.position) || cut.resume === undefined) return null;
  const token = JSON.parse(Buffer.from(cut.resume, "base64").toString()) as {
    reading: [mode: string, reread: string, table: number, rows: number, cursor: (string | { i: string })[] | null] | null;
    waiting: [mode: string, reread: string, ranges: [number, number][]][];
  };
  const limits = new Map<TableName, Key | "none">();
  for (const table of tableNames) {
    const number = tableNumber[table];
    const waits = token.waiting.some(
      ([mode, , ranges]) => mode !== "replace" && ranges.some(([from, to]) => from <= number && number <= to),
    );
    if (waits) limits.set(table, "none");
    if (token.reading?.[2] !== number || token.reading[0] === "replace") continue;
    const cursor = token.reading[4];
    limits.set(table, cursor === null ? "none" : cursor.map((part) => (typeof part === "string" ? part : BigInt(part.i))));
  }
  return limits;
}
