/**
 * A target in memory: compare-and-set, owner epoch, fold, constraints. `apply` is what a PostgreSQL target must do with a window, cut down to
 * two tables. Its rules can be broken one at a time.
 */
import type { Change, Chunk } from "../../../core/contracts/change.js";
import type { AppliedCut, Window, WindowPart } from "../../../core/contracts/log.js";
import { comparePositions, type Position, samePosition } from "../../../core/vocabulary/position.js";
import { type Key, keyText, type Row } from "../../../core/vocabulary/value.js";
import type { Kinds, TableName } from "./database.js";
import { numberOfKey, rankOf } from "./keys.js";
import { keyLength, keyOfRow } from "./tables.js";

export interface TargetRules {
  /** Rows and applied cut in one transaction. */
  readonly atomic: boolean;
  /** Compare-and-set and owner epoch. */
  readonly fenced: boolean;
  /** Fold by position over all topics (false: topic after topic). */
  readonly foldByPosition: boolean;
  /** A chunk replaces its scope, deletions included (false: upsert only). */
  readonly scopeReplaced: boolean;
  /** An integrity error is replayed in source order. */
  readonly replayed: boolean;
  /** Foreign keys are checked at the end. */
  readonly deferred: boolean;
  /** Foreign keys take no action at the target (false: ON DELETE CASCADE). */
  readonly noAction: boolean;
  /** Between the records that begin and end a repair, constraints of its table are off. */
  readonly repairLoosens: boolean;
}
export const allTargetRules: TargetRules = {
  atomic: true,
  fenced: true,
  foldByPosition: true,
  scopeReplaced: true,
  replayed: true,
  deferred: true,
  noAction: true,
  repairLoosens: true,
};

type Held = Map<string, Row>;
export interface Tables {
  readonly A: Held;
  readonly B: Held;
}
/** One row's new state, or a chunk. */
type Step =
  | { readonly at: Position; readonly table: TableName; readonly key: Key; readonly row: Row | null }
  | { readonly at: Position; readonly table: TableName; readonly chunk: Chunk };
export type Outcome = { readonly kind: "committed" } | { readonly kind: "fenced" } | { readonly kind: "refused"; readonly why: string };

export class ModelTarget {
  rows: Tables = { A: new Map(), B: new Map() };
  applied: AppliedCut | null = null;
  owner = 0;
  /** The target's constraints stand: not in a snapshot, also not when a start has set the phase back to one. */
  built = false;
  loose: ReadonlySet<TableName> = new Set();
  /** No longer in the plan, which `apply` tells the target itself: what they hold binds nobody. */
  #dropped: ReadonlySet<string> = new Set();
  replays = 0;
  readonly markers: string[] = [];

  constructor(
    readonly kinds: Kinds,
    private readonly rules: TargetRules,
    private readonly immediateUnique: boolean,
  ) {}

  /** `parts` and `inOrder` are what the window gave, both ways. */
  commit(
    window: Window,
    owner: number,
    { parts, inOrder }: { readonly parts: readonly WindowPart[]; readonly inOrder: readonly WindowPart[] },
  ): Outcome {
    const sameCut =
      window.before === null ? this.applied === null : this.applied !== null && samePosition(window.before.position, this.applied.position);
    if (this.rules.fenced && (owner !== this.owner || !sameCut)) return { kind: "fenced" };
    const before = { rows: copy(this.rows), loose: this.loose, built: this.built };
    const after = window.after();
    if (after.phase === "snapshot" && this.rules.repairLoosens) this.built = false;
    for (const control of window.controls) {
      if (control.kind === "repair" && control.step === "begins") this.#loosen(control.table as string, true);
    }
    let error = this.#fold(parts.flatMap(stepsOf));
    if (error !== null && this.rules.replayed) {
      this.rows = copy(before.rows);
      this.replays += 1;
      error = this.#replay(inOrder.flatMap(stepsOf));
    }
    for (const control of window.controls)
      if (control.kind === "repair" && control.step === "ends") this.#loosen(control.table as string, false);
    if (after.phase === "streaming") this.built = true;
    error ??= this.#violated();
    if (error !== null) {
      ({ rows: this.rows, loose: this.loose, built: this.built } = before);
      return { kind: "refused", why: error };
    }
    for (const control of window.controls) if (control.kind === "marker") this.markers.push(control.marker);
    if (this.rules.atomic) this.applied = after;
    return { kind: "committed" };
  }

  get dropped(): ReadonlySet<string> {
    return this.#dropped;
  }

  /** A repair of theirs that has begun is not waited for; one that begins later is none. */
  set dropped(tables: ReadonlySet<string>) {
    this.#dropped = tables;
    this.loose = new Set([...this.loose].filter((table) => !tables.has(table)));
  }

  #loosen(table: string, loose: boolean): void {
    const name: TableName = table === "A" ? "A" : "B";
    if (!this.rules.repairLoosens || this.dropped.has(name)) return;
    const next = new Set(this.loose);
    if (loose) next.add(name);
    else next.delete(name);
    this.loose = next;
  }

  get #uniqueOn(): boolean {
    return this.built && !this.loose.has("A");
  }
  get #foreignKeyOn(): boolean {
    return this.built && this.loose.size === 0;
  }

  #violated(): string | null {
    if (this.#foreignKeyOn && !this.#foreignKeysHold()) return "23503 at the end";
    return this.#uniqueOn && !this.#uniqueHolds() ? "23505 at the end" : null;
  }

  #foreignKeysHold(): boolean {
    if (this.dropped.has("B")) return true;
    const at = keyLength("B", this.kinds);
    return [...this.rows.B.values()].every((row) => row[at] === null || row[at] === undefined || this.rows.A.has(keyText([row[at]])));
  }

  /** Foreign keys that are not deferred look after every statement. */
  #brokenAtOnce(): boolean {
    return !this.rules.deferred && this.#foreignKeyOn && !this.#foreignKeysHold();
  }

  #uniqueHolds(): boolean {
    const at = keyLength("A", this.kinds);
    const taken = [...this.rows.A.values()].map((row) => row[at]).filter((u) => u !== null);
    return new Set(taken).size === taken.length;
  }

  #put(table: TableName, row: Row): string | null {
    const id = keyText(keyOfRow(row, keyLength(table, this.kinds)));
    const at = keyLength("A", this.kinds);
    if (this.immediateUnique && this.#uniqueOn && table === "A" && row[at] !== null) {
      for (const [other, held] of this.rows.A) if (other !== id && held[at] === row[at]) return "23505";
    }
    this.rows[table].set(id, row);
    return null;
  }

  #drop(table: TableName, id: string): void {
    this.rows[table].delete(id);
    if (this.rules.noAction || table === "B") return;
    const at = keyLength("B", this.kinds);
    for (const [child, row] of [...this.rows.B])
      if (row[at] !== null && row[at] !== undefined && keyText([row[at]]) === id) this.rows.B.delete(child);
  }

  /** Last state per key, then sets: parents' upserts first, children's deletes first; with an immediate UNIQUE its deletes before all. */
  #fold(steps: readonly Step[]): string | null {
    const ordered = this.rules.foldByPosition ? steps.toSorted((a, b) => comparePositions(a.at, b.at)) : steps;
    const net = { A: new Map<string, Row | null>(), B: new Map<string, Row | null>() };
    for (const step of ordered) {
      if ("chunk" in step) this.#foldChunk(step.table, step.chunk, net[step.table]);
      else net[step.table].set(keyText(step.key), step.row);
    }
    const upserts = (table: TableName): string | null => {
      for (const row of net[table].values()) {
        const error = row === null ? null : this.#put(table, row);
        if (error !== null) return error;
      }
      return null;
    };
    const deletes = (table: TableName): null => {
      for (const [id, row] of net[table]) if (row === null) this.#drop(table, id);
      return null;
    };
    const first = this.immediateUnique && this.rules.noAction ? [() => deletes("A")] : [];
    const rest = [() => upserts("A"), () => upserts("B"), () => deletes("B"), () => deletes("A")];
    for (const act of [...first, ...rest]) {
      const error = act() ?? (this.#brokenAtOnce() ? "23503" : null);
      if (error !== null) return error;
    }
    return this.#violated();
  }

  #foldChunk(table: TableName, chunk: Chunk, net: Map<string, Row | null>): void {
    if (this.rules.scopeReplaced) {
      for (const row of [...this.rows[table].values(), ...[...net.values()].filter((row) => row !== null)]) {
        const key = keyOfRow(row, keyLength(table, this.kinds));
        if (this.#inScope(table, key, chunk)) net.set(keyText(key), null);
      }
    }
    for (const row of chunk.rows) net.set(keyText(keyOfRow(row, keyLength(table, this.kinds))), row);
  }

  #replay(steps: readonly Step[]): string | null {
    for (const step of steps) {
      if (!("chunk" in step)) {
        if (step.row === null) this.#drop(step.table, keyText(step.key));
        const error = step.row === null ? null : this.#put(step.table, step.row);
        if (error !== null) return `${error} in replay`;
        if (this.#brokenAtOnce()) return "23503 in replay";
        continue;
      }
      const there = new Set(step.chunk.rows.map((row) => keyText(keyOfRow(row, keyLength(step.table, this.kinds)))));
      for (const [id, row] of [...this.rows[step.table]]) {
        if (!there.has(id) && this.#inScope(step.table, keyOfRow(row, keyLength(step.table, this.kinds)), step.chunk))
          this.#drop(step.table, id);
      }
      // As one statement: what the chunk itself brings cannot collide half-way.
      for (const row of step.chunk.rows) this.rows[step.table].set(keyText(keyOfRow(row, keyLength(step.table, this.kinds))), row);
    }
    return this.#violated();
  }

  #inScope(table: TableName, key: Key, { scope }: Chunk): boolean {
    const kind = this.kinds[table];
    const rank = rankOf(kind, numberOfKey(key));
    const after = scope.after === null ? -1 : rankOf(kind, numberOfKey(scope.after));
    const upTo = scope.upTo === null ? Number.POSITIVE_INFINITY : rankOf(kind, numberOfKey(scope.upTo));
    return rank > after && rank <= upTo;
  }
}

const copy = ({ A, B }: Tables): Tables => ({ A: new Map(A), B: new Map(B) });

function stepsOf(part: WindowPart): readonly Step[] {
  const table: TableName = part.table.table === "A" ? "A" : "B";
  if (part.kind === "chunk") return [{ at: part.chunk.at, table, chunk: part.chunk }];
  return part.changes.flatMap((change): Step[] => {
    const row = { at: change.at, table, key: change.key, row: rowOf(change) };
    return change.kind === "rekey" ? [{ at: change.at, table, key: change.from, row: null }, row] : [row];
  });
}

const rowOf = (change: Change): Row | null => (change.kind === "delete" ? null : change.after);
