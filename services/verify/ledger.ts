/**
 * What a run has found and not stored yet, and which rows are on record as differing. `flush` stores all of it in one transaction; a crash in between
 * loses what was found since, and the run goes on from the last note.
 */
import { compareKeys } from "../../core/capture/key-order.js";
import type { KeyScope } from "../../core/contracts/change.js";
import type { ChunkProof, Mismatch, RunNumber, StoredMismatch, TableResult, VerificationStore } from "../../core/contracts/verification.js";
import { idHash } from "../../core/mapping/row-names.js";
import type { TableId } from "../../core/vocabulary/ids.js";
import { isAbove, type Position } from "../../core/vocabulary/position.js";
import type { Key } from "../../core/vocabulary/value.js";
import type { Settled } from "./settle.js";

/** Rows of one table that a run keeps by key; more are counted. */
export const keptMax = 10_000;
const loadedMax = 100_000;

type Counted = "missing" | "extra" | "changed" | "unsettled";
type Result = { -readonly [K in keyof Omit<TableResult, Counted>]: TableResult[K] };
type Cleared = { readonly table: TableId; readonly id: string };
interface OpenRow {
  readonly key: Key;
  readonly kind: Counted;
  readonly at: Position;
}

/** One table of the run. */
class TableLedger {
  /** By id: rows that are on record as differing, found by this run or an earlier one. At a run's end it has looked at all of them. */
  readonly open = new Map<string, OpenRow>();
  /** Rows beyond those that are kept. */
  readonly more = { missing: 0, extra: 0, changed: 0, unsettled: 0 };

  constructor(readonly result: Result) {}

  counted(): TableResult {
    const counts = { ...this.more };
    for (const { kind } of this.open.values()) counts[kind] += 1;
    return { ...this.result, ...counts };
  }
}

export class Ledger {
  readonly #tables: ReadonlyMap<TableId, TableLedger>;
  #chunks: ChunkProof[] = [];
  #found = new Map<string, Mismatch>();
  #cleared = new Map<string, Cleared>();

  private constructor(
    private readonly store: VerificationStore,
    tables: readonly TableResult[],
    open: readonly StoredMismatch[],
  ) {
    this.#tables = new Map(tables.map((result) => [result.table, new TableLedger({ ...result })]));
    for (const { table, id, key, kind, at } of open) this.#tables.get(table)?.open.set(id, { key, kind, at });
  }

  static async of(store: VerificationStore, tables: readonly TableResult[], signal: AbortSignal): Promise<Ledger> {
    return new Ledger(store, tables, await store.mismatches({ table: null, limit: loadedMax }, signal));
  }

  results(): readonly TableResult[] {
    return [...this.#tables.values()].map((table) => table.counted());
  }

  update(table: TableId, change: Partial<Result>): void {
    Object.assign(this.#of(table).result, change);
  }

  settled(table: TableId, answers: readonly Settled[]): void {
    for (const answer of answers) {
      const id = idHash(answer.row.id);
      if (answer.kind === "equal") this.#clear(table, id);
      else this.#keep(table, id, answer);
    }
  }

  /** `seen`: hashed ids of rows of the range that were looked at one by one; every other row of it is equal. */
  chunk(proof: ChunkProof, seen: ReadonlySet<string>): void {
    this.#chunks.push(proof);
    const { result, open } = this.#of(proof.table);
    result.rows += proof.rows;
    result.chunks += 1;
    if (proof.state === "equal") result.equalChunks += 1;
    for (const [id, { key, at }] of open) {
      // What the tail has found since the range was read, the range knows nothing of.
      if (!seen.has(id) && !isAbove(at, proof.at) && isWithin(key, proof.scope)) this.#clear(proof.table, id);
    }
  }

  waiting(): number {
    return this.#chunks.length + this.#found.size + this.#cleared.size;
  }

  /** `proven` null: what the run says as a whole stays. */
  async flush(run: RunNumber, proven: Position | null, signal: AbortSignal): Promise<void> {
    const [chunks, found, cleared] = [this.#chunks, [...this.#found.values()], [...this.#cleared.values()]];
    const whole = proven === null ? null : { proven, tables: this.results() };
    await this.store.note(run, { run: whole, chunks, found, cleared }, signal);
    this.#chunks = [];
    this.#found = new Map();
    this.#cleared = new Map();
  }

  #keep(table: TableId, id: string, answer: Exclude<Settled, { readonly kind: "equal" }>): void {
    const { open, more } = this.#of(table);
    if (open.size >= keptMax && !open.has(id)) {
      more[answer.kind] += 1;
      return;
    }
    open.set(id, { key: answer.row.key, kind: answer.kind, at: answer.at });
    this.#cleared.delete(`${table} ${id}`);
    this.#found.set(`${table} ${id}`, {
      table,
      id,
      key: answer.row.key,
      kind: answer.kind,
      columns: answer.kind === "changed" ? answer.columns : [],
      why: answer.kind === "unsettled" ? answer.why : null,
      at: answer.at,
    });
  }

  #clear(table: TableId, id: string): void {
    if (!this.#of(table).open.delete(id)) return;
    this.#found.delete(`${table} ${id}`);
    this.#cleared.set(`${table} ${id}`, { table, id });
  }

  #of(table: TableId): TableLedger {
    const known = this.#tables.get(table);
    if (known === undefined) throw new Error(`table ${table} is not of this run`);
    return known;
  }
}

function isWithin(key: Key, { after, upTo }: KeyScope): boolean {
  return (after === null || compareKeys(key, after) > 0) && (upTo === null || compareKeys(key, upTo) <= 0);
}
