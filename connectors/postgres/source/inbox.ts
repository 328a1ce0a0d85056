/**
 * What has arrived and was not told yet, in whole transactions of somebody else's. Bounded in bytes: when it is full, nothing more is read from the
 * server. A transaction that touched our own state row is ours: its rows came from the other side, and telling them would send them in circles. A
 * window says so in its first statement, so that however large it is, nothing of it is held.
 */
import { TailraceError } from "../../../core/errors.js";
import { type GroupId, markerId, type PipelineId } from "../../../core/vocabulary/ids.js";
import { keyOf } from "../../../core/vocabulary/table.js";
import { keyText } from "../../../core/vocabulary/value.js";
import { formatLsn, type Lsn } from "./lsn.js";
import type { Past } from "./past.js";
import type { Message, OldTuple, Tuple } from "./pgoutput.js";
import type { Relations, StateName, TableReader } from "./relations.js";
import { touched } from "./touch.js";
import { Transaction } from "./transaction.js";
import type { Waiting } from "./way-ledger.js";

export interface InboxLimits {
  /** A transaction up to this size is handed over whole, with others that are; a larger one alone, while it arrives. */
  readonly whole: { readonly rows: number; readonly bytes: number };
  /** More than this is not held. */
  readonly heldBytes: number;
}
export const defaultInboxLimits: InboxLimits = { whole: { rows: 4_000, bytes: 4 << 20 }, heldBytes: 16 << 20 };

interface InboxOptions {
  readonly pipeline: PipelineId;
  readonly group: GroupId;
  readonly history: number;
  readonly relations: Relations;
  readonly past: Past;
  /** Transactions up to here were told before. */
  readonly toldUpTo: Lsn;
  readonly limits: InboxLimits;
  readonly onFull: (full: boolean) => void;
}

/** A row costs more than its bytes in the stream. */
const rowOverhead = 150;

export class Inbox {
  #arriving: Transaction | null = null;
  /** The transaction that arrives is ours, or was told before. */
  #isPassing = false;
  /** The last of them may still be arriving. */
  readonly #ready: Transaction[] = [];
  /** Handed over before it was whole. */
  #handed: Transaction | null = null;
  #held = 0;
  #isFull = false;
  #received: Lsn;
  #quietUpTo: Lsn;
  #failure: unknown = null;
  #wake: (() => void) | null = null;

  constructor(private readonly options: InboxOptions) {
    this.#received = options.toldUpTo;
    this.#quietUpTo = options.toldUpTo;
  }

  /** When nothing is here: up to this place there is nothing that was not handed over. Else null. */
  get nothingUpTo(): Lsn | null {
    return this.#ready.length === 0 && this.#arriving === null ? this.#quietUpTo : null;
  }
  /** What was not handed over yet. */
  get waiting(): Waiting {
    const arriving = this.#arriving === null || this.#isEarly(this.#arriving) ? [] : [this.#arriving];
    const here = [...this.#ready, ...arriving].filter((one) => !one.isEmpty);
    return {
      rows: here.reduce((sum, one) => sum + one.rows, 0),
      oldestUs: here[0]?.begun.committedUs ?? null,
      received: this.#received,
    };
  }
  push(message: Message, bytes: number): void {
    if (this.#failure !== null) return;
    try {
      this.#push(message, bytes + rowOverhead);
    } catch (thrown) {
      this.fail(thrown);
    }
  }

  /** The server has nothing before `end` that it has not sent. */
  caughtUp(end: Lsn): void {
    if (end > this.#received) this.#received = end;
    if (this.#arriving === null && !this.#isPassing && end > this.#quietUpTo) this.#quietUpTo = end;
  }

  /** Whoever waits is told; nothing more is taken in. */
  fail(error: unknown): void {
    this.#failure ??= error;
    this.#wake?.();
  }

  /** Hands over whole transactions up to the limits, or the beginning of one that is larger. Waits for the first. */
  async next(signal: AbortSignal): Promise<readonly [Transaction, ...Transaction[]]> {
    for (;;) {
      this.#refuse(signal);
      const [first] = this.#ready;
      if (first !== undefined) {
        const others = this.#othersAfter(first);
        this.#ready.splice(0, 1 + others.length);
        if (!first.isWhole) this.#handed = first;
        return [first, ...others];
      }
      await this.#change(signal);
    }
  }

  /** For a transaction that is not whole yet: returns when more of it is here. */
  async more(of: Transaction, signal: AbortSignal): Promise<void> {
    for (;;) {
      this.#refuse(signal);
      if (of.isWhole || of.rows > 0) return;
      await this.#change(signal);
    }
  }

  /** These rows were taken: there is room for others. */
  taken(bytes: number): void {
    this.#held -= bytes;
    this.#pressure();
  }

  #othersAfter(first: Transaction): Transaction[] {
    const { whole } = this.options.limits;
    let { rows, bytes } = first;
    const others: Transaction[] = [];
    if (!first.isWhole || first.endsItsBatch) return others;
    for (const one of this.#ready.slice(1)) {
      rows += one.rows;
      bytes += one.bytes;
      if (!one.isWhole || rows > whole.rows || bytes > whole.bytes) break;
      others.push(one);
      if (one.endsItsBatch) break;
    }
    return others;
  }

  #push(message: Message, bytes: number): void {
    switch (message.kind) {
      case "begin":
        this.options.past.passes(message);
        this.#isPassing = message.commit <= this.options.toldUpTo;
        this.#arriving = this.#isPassing ? null : new Transaction(message, this.options.history);
        return;
      case "commit":
        this.#committed(message.end);
        return;
      case "relation":
        this.options.relations.told(message.relation);
        return;
      case "aside":
        return;
      default:
        if (this.#arriving !== null) this.#changed(this.#arriving, message, bytes);
    }
  }

  #committed(end: Lsn): void {
    const transaction = this.#arriving;
    this.#arriving = null;
    this.#isPassing = false;
    this.#received = end;
    this.#quietUpTo = end;
    if (transaction === null || transaction.isEmpty) return;
    transaction.isWhole = true;
    if (!this.#isEarly(transaction)) this.#ready.push(transaction);
    this.#wake?.();
  }

  #changed(transaction: Transaction, message: RowMessage, bytes: number): void {
    if (message.kind === "truncate") {
      for (const id of message.relations) this.#truncated(transaction, id);
      return;
    }
    const known = this.options.relations.known(message.relation);
    if (known.kind === "other") return;
    if (known.kind === "state") {
      // An old marker that is cleared away says nothing, nor does what was told already.
      if (known.name !== "pipeline" && message.kind === "delete") return;
      const tuple = message.kind === "delete" ? tupleOf(message.before) : message.after;
      if (tuple !== null) this.#state(transaction, { name: known.name, bytes, value: (column) => known.value(tuple, column) });
      return;
    }
    this.#add(transaction, () => addChange(transaction, known.table, message, bytes));
  }

  #add(transaction: Transaction, add: () => void): void {
    const before = transaction.bytes;
    add();
    this.#held += transaction.bytes - before;
    const { whole } = this.options.limits;
    if (transaction.bytes > whole.bytes || transaction.rows > whole.rows) this.#tellEarly(transaction);
    this.#pressure();
  }

  #truncated(transaction: Transaction, id: number): void {
    const known = this.options.relations.known(id);
    if (known.kind === "table") transaction.truncate(known.table.description);
  }

  #state(transaction: Transaction, { name, bytes, value }: StateRow): void {
    const { pipeline, group, relations } = this.options;
    if (value("pipeline") !== pipeline || value("group_id") !== String(group)) return;
    if (name === "pipeline") return this.#isOurs(transaction);
    if (name === "touch") {
      const table = relations.described(value("source") ?? "");
      if (table !== null) this.#add(transaction, () => transaction.add(table, touched(table, transaction.next(), value), bytes));
      return;
    }
    const marker = value("marker");
    if (marker !== null) transaction.control({ kind: "marker", marker: markerId(marker), at: transaction.next() });
  }

  #isOurs(transaction: Transaction): void {
    if (this.#isEarly(transaction)) {
      throw new TailraceError("internal", {
        what: "a transaction wrote many rows before it said that it is Tailrace's own",
        where: { commit: formatLsn(transaction.begun.commit) },
      });
    }
    this.#held -= transaction.bytes;
    this.#arriving = null;
    this.#isPassing = true;
  }

  #tellEarly(transaction: Transaction): void {
    if (!this.#isEarly(transaction)) this.#ready.push(transaction);
    this.#wake?.();
  }

  /** It is told, or about to be, before it is whole. */
  #isEarly(transaction: Transaction): boolean {
    return this.#handed === transaction || this.#ready.at(-1) === transaction;
  }

  #pressure(): void {
    const { heldBytes } = this.options.limits;
    const full = this.#isFull ? this.#held > heldBytes / 2 : this.#held > heldBytes;
    if (full === this.#isFull) return;
    this.#isFull = full;
    this.options.onFull(full);
  }

  #refuse(signal: AbortSignal): void {
    signal.throwIfAborted();
    if (this.#failure !== null) throw this.#failure;
  }

  async #change(signal: AbortSignal): Promise<void> {
    const abort = (): void => this.#wake?.();
    signal.addEventListener("abort", abort, { once: true });
    await new Promise<void>((resolve) => (this.#wake = resolve));
    this.#wake = null;
    signal.removeEventListener("abort", abort);
  }
}

interface StateRow {
  readonly name: StateName;
  readonly bytes: number;
  readonly value: (column: string) => string | null;
}
type RowMessage = Extract<Message, { readonly kind: "insert" | "update" | "delete" | "truncate" }>;

const tupleOf = (before: OldTuple): Tuple | null => (before.kind === "none" ? null : before.tuple);

function addChange(transaction: Transaction, reader: TableReader, message: Exclude<RowMessage, { kind: "truncate" }>, bytes: number): void {
  const table = reader.description;
  const at = transaction.next();
  switch (message.kind) {
    case "insert": {
      const after = reader.row(message.after, { kind: "none" });
      transaction.add(table, { kind: "create", at, key: keyOf(table, after), after }, bytes);
      return;
    }
    case "update": {
      const after = reader.row(message.after, message.before);
      const key = keyOf(table, after);
      const from = reader.oldKey(message.before) ?? key;
      const same = keyText(from) === keyText(key);
      transaction.add(table, same ? { kind: "update", at, key, after } : { kind: "rekey", at, from, key, after }, bytes);
      return;
    }
    case "delete": {
      const key = reader.oldKey(message.before);
      if (key === null) throw new TailraceError("internal", { what: "PostgreSQL tells a delete without its row" });
      transaction.add(table, { kind: "delete", at, key, before: reader.oldRow(message.before) }, bytes);
    }
  }
}
