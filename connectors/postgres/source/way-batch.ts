/** Transactions as one batch of the way back: rows in pages of bounded size, each page's changes by table, chunks above all of them. */
import type { BatchPart, Change, Phases } from "../../../core/contracts/change.js";
import type { Batch, BatchEnd } from "../../../core/contracts/source.js";
import type { Anchor, GroupId } from "../../../core/vocabulary/ids.js";
import type { Position } from "../../../core/vocabulary/position.js";
import type { TableDescription } from "../../../core/vocabulary/table.js";
import type { Inbox } from "./inbox.js";
import { endPosition } from "./lsn.js";
import { encodeWayToken, type WayToken } from "./way-token.js";
import type { LiveChange, Transaction } from "./transaction.js";

export interface PartLimits {
  readonly rows: number;
  readonly bytes: number;
}
export const defaultPartLimits: PartLimits = { rows: 1_000, bytes: 1 << 20 };

/** Nothing is read again on the way back: both sides were equal when it began. */
export const streaming = (group: GroupId): Phases => new Map([[group, "streaming"]]);

interface BatchOf {
  readonly transactions: readonly [Transaction, ...Transaction[]];
  readonly inbox: Inbox;
  readonly token: Omit<WayToken, "at" | "anchor">;
  readonly history: number;
  readonly group: GroupId;
  readonly limits: PartLimits;
}

export class WayBatch implements Batch {
  readonly position: Position;
  readonly #of: BatchOf;
  readonly #last: Transaction;
  #ended = false;

  constructor(of: BatchOf) {
    this.#of = of;
    this.#last = of.transactions.at(-1) ?? of.transactions[0];
    this.position = endPosition(of.history, this.#last.begun.commit);
  }

  get anchor(): Anchor {
    return this.#last.anchor;
  }

  get changes(): number {
    return this.#of.transactions.reduce((sum, one) => sum + one.size, 0);
  }

  async *parts(signal: AbortSignal): AsyncIterable<BatchPart> {
    const { inbox, transactions, limits } = this.#of;
    const pages = new Pages(limits);
    for (const transaction of transactions) {
      for (;;) {
        await inbox.more(transaction, signal);
        // Asked before: whatever comes after this look is part of the next one.
        const { isWhole } = transaction;
        const { changes, controls, bytes } = transaction.take();
        for (const control of controls) yield { kind: "control", control };
        for (const part of pages.add(changes)) yield part;
        inbox.taken(bytes);
        if (isWhole) break;
      }
    }
    for (const part of pages.rest()) yield part;
    for (const transaction of transactions) yield* transaction.chunks();
    this.#ended = true;
  }

  end(): BatchEnd {
    if (!this.#ended) throw new Error("the end of a batch is known when its parts were taken");
    const { anchor } = this.#last;
    const { token, group } = this.#of;
    return { resume: encodeWayToken({ ...token, at: this.position, anchor }), anchor, phases: streaming(group) };
  }
}

/** Changes of several tables come mixed; a part is of one. */
class Pages {
  #page: LiveChange[] = [];
  #bytes = 0;

  constructor(private readonly limits: PartLimits) {}

  *add(changes: readonly LiveChange[]): Iterable<BatchPart> {
    for (const change of changes) {
      this.#page.push(change);
      this.#bytes += change.bytes;
      if (this.#page.length >= this.limits.rows || this.#bytes >= this.limits.bytes) yield* this.rest();
    }
  }

  *rest(): Iterable<BatchPart> {
    const byTable = new Map<TableDescription, Change[]>();
    for (const { table, change } of this.#page) {
      const known = byTable.get(table);
      if (known === undefined) byTable.set(table, [change]);
      else known.push(change);
    }
    this.#page = [];
    this.#bytes = 0;
    for (const [table, changes] of byTable) yield { kind: "changes", table, changes };
  }
}
