/**
 * A database in memory with the trigger log: A (key, unique u, v) and B (key, p → A, v). It behaves as SQLite does with
 * recursive_triggers off: a row that REPLACE pushes out fires no delete trigger, foreign key actions do.
 */
import { uniteColumns } from "../../../core/capture/widening.js";
import type { LogRow } from "../../../core/capture/log-row.js";
import { markerId, rereadId, schemaVersion } from "../../../core/vocabulary/ids.js";
import type { ColumnDescription, TableDescription } from "../../../core/vocabulary/table.js";
import type { Key, Row } from "../../../core/vocabulary/value.js";
import { type KeyKind, keyOfNumber } from "./keys.js";

export type TableName = "A" | "B";
export const tableNames: readonly TableName[] = ["A", "B"];
export const tableNumber: Readonly<Record<TableName, number>> = { A: 1, B: 2 };

export interface ARow {
  readonly u: number | null;
  readonly v: number;
}
export interface BRow {
  readonly p: number | null;
  readonly v: number;
}
export interface Rows {
  readonly A: Map<number, ARow>;
  readonly B: Map<number, BRow>;
}
/** op, key, unique value, value, second key */
export type Statement = readonly [op: StatementKind, k: number, u: number, v: number, k2: number];
export const statementKinds = [
  ...(["insert", "ignore", "replace", "upsertKey", "upsertUnique", "setUnique", "setValue", "replaceUnique", "rekey"] as const),
  ...(["replaceKey", "delete", "swapUnique", "swapKey", "bInsert", "bReplace", "bParent", "bRekey", "bDelete"] as const),
] as const;
export type StatementKind = (typeof statementKinds)[number];
export type Kinds = Readonly<Record<TableName, KeyKind>>;
export type ForeignKeyAction = "none" | "cascade" | "set null";
export type LoggedRow = LogRow & { readonly ts: number };
type WithoutPlace<T> = T extends unknown ? Omit<T, "seq"> : never;

class Refused extends Error {}
type Backup = Pick<ModelDatabase, "rows" | "log" | "triggers" | "epochSeen" | "descriptions" | "retired">;

const copy = (rows: Rows): Rows => ({ A: new Map(rows.A), B: new Map(rows.B) });
const foreignKeysHold = (rows: Rows): boolean => [...rows.B.values()].every(({ p }) => p === null || rows.A.has(p));

export class ModelDatabase {
  rows: Rows = {
    A: new Map([
      [1, { u: 1, v: 0 }],
      [5, { u: 2, v: 0 }],
    ]),
    B: new Map([[2, { p: 1, v: 0 }]]),
  };
  log: LoggedRow[] = [];
  triggers: Readonly<Record<TableName, boolean>> = { A: true, B: true };
  /** `_cdc_state`: goes back with a restore. */
  epochSeen = 0;
  /** State of the rows after each transaction, by the time of its last log row; never forgotten. */
  readonly truth = new Map<number, Rows>();
  #ts = 0;
  #marks = 0;
  /** `_cdc_tables`: goes back with a restore, too. */
  descriptions: Readonly<Record<TableName, TableDescription>>;
  retired: ReadonlySet<TableName> = new Set();
  readonly #backups: Backup[] = [];

  constructor(
    readonly kinds: Kinds,
    private readonly action: ForeignKeyAction,
    descriptions: ModelDatabase["descriptions"],
  ) {
    this.descriptions = descriptions;
    this.truth.set(0, copy(this.rows));
  }

  get newestSeq(): number {
    return this.log.at(-1)?.seq ?? 0;
  }
  get newestTs(): number {
    return this.log.at(-1)?.ts ?? 0;
  }

  keyOf(table: TableName, n: number): Key {
    return keyOfNumber(this.kinds[table], n);
  }

  /** As the pipeline sees it: key columns, then the others. */
  rowOf(table: TableName, n: number, rows: Rows = this.rows): Row | null {
    const row = table === "A" ? rows.A.get(n) : rows.B.get(n);
    if (row === undefined) return null;
    const other = "u" in row ? (row.u === null ? null : BigInt(row.u)) : row.p === null ? null : (this.keyOf("A", row.p)[0] ?? null);
    return [...this.keyOf(table, n), other, BigInt(row.v)];
  }

  transaction(statements: readonly Statement[]): void {
    const [rows, log] = [copy(this.rows), [...this.log]];
    for (const statement of statements) {
      const [before, logBefore] = [copy(this.rows), [...this.log]];
      try {
        this.#execute(statement);
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        [this.rows, this.log] = [before, logBefore];
      }
    }
    if (!foreignKeysHold(this.rows)) [this.rows, this.log] = [rows, log];
    else if (this.newestTs !== (log.at(-1)?.ts ?? 0)) this.truth.set(this.newestTs, copy(this.rows));
  }

  /** Rows that we write for ourselves. Returns the marker's or re-read's name. */
  special(op: "marker" | "touch" | "ask" | "gap" | "order", table: TableName, n: number): string {
    const name = `m${++this.#marks}`;
    if (op === "marker") this.#write({ op: "M", marker: markerId(name) });
    else if (op === "order") this.#write({ op: "M", marker: null });
    else if (op === "touch") this.#write({ op: "T", table: tableNumber[table], key: this.keyOf(table, n) });
    else this.#write({ op: "S", table: tableNumber[table], why: op, reread: rereadId(name) });
    this.truth.set(this.newestTs, copy(this.rows));
    return name;
  }

  loseTriggers(table: TableName): void {
    this.triggers = { ...this.triggers, [table]: false };
  }

  /** Puts missing triggers back, and asks for their tables in the same transaction. */
  heal(): void {
    for (const table of tableNames) {
      if (this.triggers[table] || this.retired.has(table)) continue;
      this.triggers = { ...this.triggers, [table]: true };
      this.special("gap", table, 0);
    }
  }

  widen(table: TableName, columns: readonly ColumnDescription[]): TableDescription {
    const stored = this.descriptions[table];
    const united = stored.columns.map((column, i) => uniteColumns(column, columns[i] ?? column));
    const widened = { ...stored, columns: united, schema: schemaVersion(this.#highestSchema() + 1) };
    this.descriptions = { ...this.descriptions, [table]: widened };
    return widened;
  }

  /** No longer captured; what the log says of it is nobody's any more. A row in the log, as `apply` leaves one, makes the source look. */
  retire(table: TableName): void {
    if (this.retired.has(table)) return;
    this.retired = new Set([...this.retired, table]);
    this.triggers = { ...this.triggers, [table]: false };
    this.descriptions = {
      ...this.descriptions,
      [table]: { ...this.descriptions[table], schema: schemaVersion(this.#highestSchema() + 1) },
    };
    this.special("order", table, 0);
  }

  #highestSchema(): number {
    return Math.max(...tableNames.map((table) => this.descriptions[table].schema));
  }

  backup(): void {
    const { triggers, epochSeen, descriptions, retired } = this;
    this.#backups.push({ rows: copy(this.rows), log: [...this.log], triggers, epochSeen, descriptions, retired });
  }

  restore(n: number): void {
    const found = this.#backups[n % Math.max(1, this.#backups.length)];
    if (found === undefined) return;
    this.rows = copy(found.rows);
    this.log = [...found.log];
    this.triggers = found.triggers;
    this.epochSeen = found.epochSeen;
    this.descriptions = found.descriptions;
    this.retired = found.retired;
  }

  #write(row: WithoutPlace<LogRow>): void {
    this.log.push({ ...row, seq: this.newestSeq + 1, ts: ++this.#ts });
  }

  #note(table: TableName, row: WithoutPlace<LogRow>): void {
    if (this.triggers[table]) this.#write(row);
  }

  #colliding(u: number | null, except: number | null): readonly number[] {
    return u === null ? [] : [...this.rows.A].filter(([n, row]) => row.u === u && n !== except).map(([n]) => n);
  }

  #hint(u: number | null, except: number | null): void {
    for (const n of this.#colliding(u, except)) this.#note("A", { op: "R", table: 1, key: this.keyOf("A", n) });
  }

  #remove(table: TableName, n: number, logged: boolean): void {
    const row = this.rowOf(table, n);
    this.rows[table].delete(n);
    if (table === "A") this.#children(n, null);
    if (logged && row !== null) this.#note(table, { op: "D", table: tableNumber[table], row });
  }

  #children(parent: number, to: number | null): void {
    for (const [n, row] of [...this.rows.B]) {
      if (row.p !== parent || this.action === "none") continue;
      if (this.action === "cascade" && to === null) this.#remove("B", n, true);
      else this.#changeB(n, n, { ...row, p: this.action === "cascade" ? to : null });
    }
  }

  #putA(n: number, row: ARow): void {
    this.rows.A.set(n, row);
    this.#note("A", { op: "I", table: 1, row: this.rowOf("A", n) ?? [] });
  }

  #changeA(from: number, n: number, row: ARow): void {
    this.rows.A.delete(from);
    this.rows.A.set(n, row);
    if (from !== n) this.#children(from, n);
    this.#note("A", { op: "U", table: 1, from: this.keyOf("A", from), row: this.rowOf("A", n) ?? [] });
  }

  #changeB(from: number, n: number, row: BRow): void {
    this.rows.B.delete(from);
    this.rows.B.set(n, row);
    this.#note("B", { op: "U", table: 2, from: this.keyOf("B", from), row: this.rowOf("B", n) ?? [] });
  }

  #update(from: number, n: number, set: Partial<ARow>, replace: boolean): void {
    const old = this.rows.A.get(from);
    if (old === undefined) return;
    const row = { ...old, ...set };
    if (set.u !== undefined) this.#hint(row.u, from);
    const lost = new Set(this.#colliding(row.u, from));
    if (n !== from && this.rows.A.has(n)) lost.add(n);
    if (lost.size > 0 && !replace) throw new Refused();
    for (const other of lost) this.#remove("A", other, false);
    if (this.rows.A.has(from)) this.#changeA(from, n, row);
  }

  #insert(n: number, row: ARow, or: "abort" | "ignore" | "replace"): void {
    this.#hint(row.u, null);
    const lost = new Set(this.#colliding(row.u, null));
    if (this.rows.A.has(n)) lost.add(n);
    if (lost.size > 0 && or === "ignore") return;
    if (lost.size > 0 && or === "abort") throw new Refused();
    for (const other of lost) this.#remove("A", other, false);
    this.#putA(n, row);
  }

  #upsert(n: number, row: ARow, on: "key" | "unique"): void {
    this.#hint(row.u, null);
    const [hit] = on === "key" ? (this.rows.A.has(n) ? [n] : []) : this.#colliding(row.u, null);
    if (hit !== undefined) this.#update(hit, hit, on === "key" ? row : { v: row.v }, false);
    else if (this.rows.A.has(n) || this.#colliding(row.u, null).length > 0) throw new Refused();
    else this.#putA(n, row);
  }

  #swapUnique(a: number, b: number): void {
    const [rowA, rowB] = [this.rows.A.get(a), this.rows.A.get(b)];
    if (a === b || rowA === undefined || rowB === undefined) return;
    this.#update(a, a, { u: null }, false);
    this.#update(b, b, { u: rowA.u }, false);
    this.#update(a, a, { u: rowB.u }, false);
  }

  #swapKey(a: number, b: number): void {
    if (a === b || !this.rows.A.has(a) || !this.rows.A.has(b)) return;
    this.#update(a, 9, {}, false);
    this.#update(b, a, {}, false);
    this.#update(9, b, {}, false);
  }

  #putB(n: number, k2: number, v: number): void {
    this.rows.B.set(n, { p: this.rows.A.has(k2) ? k2 : null, v });
    this.#note("B", { op: "I", table: 2, row: this.rowOf("B", n) ?? [] });
  }

  #execute([op, n, unique, v, k2]: Statement): void {
    const row: ARow = { u: unique === 7 ? null : unique, v };
    if (op.startsWith("b")) return this.#executeB(op, n, v, k2);
    if (op === "insert") this.#insert(n, row, "abort");
    else if (op === "ignore") this.#insert(n, row, "ignore");
    else if (op === "replace") this.#insert(n, row, "replace");
    else if (op === "upsertKey") this.#upsert(n, row, "key");
    else if (op === "upsertUnique") this.#upsert(n, row, "unique");
    else if (op === "setUnique") this.#update(n, n, { u: row.u }, false);
    else if (op === "setValue") this.#update(n, n, { v }, false);
    else if (op === "replaceUnique") this.#update(n, n, { u: row.u }, true);
    else if (op === "rekey") this.#update(n, k2, {}, false);
    else if (op === "replaceKey") this.#update(n, k2, {}, true);
    else if (op === "delete" && this.rows.A.has(n)) this.#remove("A", n, true);
    else if (op === "swapUnique") this.#swapUnique(n, k2);
    else if (op === "swapKey") this.#swapKey(n, k2);
  }

  #executeB(op: StatementKind, n: number, v: number, k2: number): void {
    const row = this.rows.B.get(n);
    if (op === "bInsert" && row !== undefined) throw new Refused();
    if (op === "bInsert" || op === "bReplace") this.#putB(n, k2, v);
    if (row === undefined) return;
    if (op === "bParent") this.#changeB(n, n, { ...row, p: k2 });
    if (op === "bRekey" && n !== k2 && this.rows.B.has(k2)) throw new Refused();
    if (op === "bRekey") this.#changeB(n, k2, row);
    if (op === "bDelete") this.#remove("B", n, true);
  }
}
