/**
 * One batch as parts. What fits in memory was read in the transaction that read S; the rest is read in pages while the parts are taken, so
 * that a source transaction of millions of rows is held nowhere. Schema controls precede the data that needs them.
 */
import type { BatchPart, Change, Control } from "../contracts/change.js";
import type { BatchEnd } from "../contracts/source.js";
import { TailraceError } from "../errors.js";
import { type GroupId, type RereadId, sameBytes } from "../vocabulary/ids.js";
import { type Position, position } from "../vocabulary/position.js";
import { keyOf } from "../vocabulary/table.js";
import type { Key, Row } from "../vocabulary/value.js";
import type { CaptureLog, LogPage, PageLimits } from "./capture-log.js";
import type { TableChunk } from "./chunks.js";
import type { Descriptions } from "./descriptions.js";
import type { Hints } from "./hints.js";
import { liveChange } from "./live-changes.js";
import type { LogRow, Note } from "./log-row.js";
import type { Tellable } from "./rereads.js";
import type { ResumeState } from "./resume-token.js";
import { ClassesSeen } from "./widening.js";

/** What one read transaction found out. */
export interface BatchPlan {
  readonly position: Position;
  /** Rows with last < seq ≤ until are this batch's. */
  readonly last: number;
  readonly until: number;
  readonly head: readonly LogPage[];
  readonly notes: readonly Note[];
  readonly hints: Hints;
  /** null: the hints are settled. */
  readonly settled: ((table: number, key: Key) => Row | null) | null;
  readonly tellable: Tellable;
  readonly begins: readonly { readonly table: number; readonly reread: RereadId }[];
  readonly chunks: readonly TableChunk[];
  readonly ends: readonly { readonly table: number; readonly reread: RereadId }[];
  readonly toldBefore: number;
  /** Of all tables. */
  readonly groups: ReadonlySet<GroupId>;
  readonly after: ResumeState;
}

export class CaptureBatch {
  readonly position: Position;
  readonly #seen = new Map<number, ClassesSeen>();
  #told: number;
  #end: BatchEnd | null = null;
  #taken = false;

  constructor(
    private readonly log: CaptureLog,
    private readonly plan: BatchPlan,
    private readonly descriptions: Descriptions,
    private readonly pageLimits: PageLimits,
    private readonly ended: (schemaTold: number) => BatchEnd,
  ) {
    this.position = plan.position;
    this.#told = plan.toldBefore;
  }

  end(): BatchEnd {
    if (this.#end === null) throw new Error("the batch's parts have not all been taken");
    return this.#end;
  }

  *parts(): Generator<BatchPart, void, undefined> {
    if (this.#taken) throw new Error("the batch's parts can be taken once");
    this.#taken = true;
    const { plan } = this;
    yield* this.#schemas();
    for (const { table, reread } of plan.begins) yield this.#repair("begins", table, reread);
    this.#settle();
    for (const page of this.#pages()) yield* this.#changes(page.rows);
    this.#checkPast();
    for (const { table, chunk } of plan.chunks) {
      const seen = this.#classes(table);
      for (const row of chunk.rows) seen.row(row);
      yield* this.#widen(table);
      yield { kind: "chunk", table: this.#description(table), chunk };
    }
    for (const note of plan.notes) if (note.op === "M" && note.marker !== null) yield this.#marker(note.seq, note.marker);
    for (const { table, reread } of plan.ends) yield this.#repair("ends", table, reread);
    this.#end = this.ended(this.#told);
  }

  /** Descriptions that the log has not been told in this history: all of them at its beginning. */
  *#schemas(): Generator<BatchPart> {
    const told = this.#told;
    for (const { number, description, state } of this.descriptions.all()) {
      if (description.schema <= told) continue;
      this.#told = Math.max(this.#told, description.schema);
      if (state === "captured") yield control({ kind: "schema", table: this.#description(number), at: this.position });
      else if (told > 0) yield control({ kind: "dropped", table: description.table, at: this.position });
    }
  }

  /** Hints of a large batch need a first pass over its rows. */
  #settle(): void {
    const { settled, hints, notes } = this.plan;
    if (settled === null) return;
    if (notes.some((note) => note.op === "R" || note.op === "T"))
      for (const page of this.#pages()) for (const row of page.rows) hints.feed(row);
    hints.settle(settled);
  }

  *#pages(): Generator<LogPage> {
    const { head, last, until } = this.plan;
    let seq = last;
    for (const page of head) {
      yield page;
      seq = lastOf(page, seq, until);
    }
    while (seq < until) {
      const page = this.log.page(seq, until, this.pageLimits);
      yield page;
      seq = lastOf(page, seq, until);
    }
  }

  /** The changes of one page: one part per table, in order within it. */
  *#changes(rows: readonly LogRow[]): Generator<BatchPart> {
    const byTable = new Map<number, Change[]>();
    const { tellable, hints, position: at } = this.plan;
    const telling = { history: at.history, tellable, hints, keyOf: (table: number, row: Row): Key => keyOf(this.#stored(table), row) };
    for (const row of rows) {
      if (row.op === "M" || row.op === "S" || !this.descriptions.isCaptured(row.table)) continue;
      const change = liveChange(row, telling);
      if (change === null) continue;
      const changes = byTable.get(row.table);
      if (changes === undefined) byTable.set(row.table, [change]);
      else changes.push(change);
    }
    for (const [table, changes] of byTable) {
      const seen = this.#classes(table);
      for (const change of changes) look(seen, change);
      yield* this.#widen(table);
      yield { kind: "changes", table: this.#description(table), changes };
    }
  }

  /** Rows that were read after the transaction that read S come from the same past only if S still has its anchor. */
  #checkPast(): void {
    const { head, last, until, after } = this.plan;
    if (head.reduce((seq, page) => lastOf(page, seq, until), last) >= until) return;
    const now = this.log.read((view) => view.anchorAt(until));
    if (now !== null && sameBytes(now, after.anchor)) return;
    throw new TailraceError("source.replaced", {
      what: "The source's past was replaced while a transaction was being read",
      where: { order: until },
    });
  }

  *#widen(table: number): Generator<BatchPart> {
    const columns = this.#classes(table).wider();
    if (columns === null) return;
    const description = this.log.widen(table, columns);
    this.descriptions.replace(table, description);
    this.#seen.delete(table);
    this.#told = Math.max(this.#told, description.schema);
    yield control({ kind: "schema", table: this.#description(table), at: this.position });
  }

  #classes(table: number): ClassesSeen {
    const description = this.#stored(table);
    const known = this.#seen.get(table);
    if (known?.description === description) return known;
    const fresh = new ClassesSeen(description);
    this.#seen.set(table, fresh);
    return fresh;
  }

  #stored(table: number): ReturnType<Descriptions["stored"]> {
    return this.descriptions.stored(table);
  }

  #description(table: number): ReturnType<Descriptions["told"]> {
    return this.descriptions.told(table, this.position.history);
  }

  #repair(step: "begins" | "ends", table: number, reread: RereadId): BatchPart {
    return control({ kind: "repair", step, table: this.#stored(table).table, reread, at: this.position });
  }

  #marker(seq: number, marker: Extract<Control, { kind: "marker" }>["marker"]): BatchPart {
    return control({ kind: "marker", marker, at: position(this.position.history, seq) });
  }
}

const control = (it: Control): BatchPart => ({ kind: "control", control: it });

function look(seen: ClassesSeen, change: Change): void {
  switch (change.kind) {
    case "rekey":
      seen.key(change.from);
      seen.row(change.after);
      return;
    case "delete":
      if (change.before === null) seen.key(change.key);
      else seen.row(change.before);
      return;
    case "create":
    case "update":
    case "state":
      seen.row(change.after);
  }
}

/** Checks on the way that no row is missing: the log has no gaps, or it is damaged. */
function lastOf(page: LogPage, after: number, until: number): number {
  const last = page.rows.at(-1)?.seq;
  if (last !== undefined && last === after + page.rows.length && last <= until) return last;
  throw new TailraceError("source.log-damaged", {
    what: "Rows are missing in the capture log",
    where: { after, until, found: last ?? null },
  });
}
