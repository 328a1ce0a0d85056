/**
 * Whether PostgreSQL still tells the past that the log was filled from. A restored server may give the same places in its log to other transactions;
 * each one whose end is a cut's position is compared with that cut's anchor when it passes by again.
 */
import { TailraceError } from "../../../core/errors.js";
import { type Anchor, anchor, sameBytes } from "../../../core/vocabulary/ids.js";
import { formatLsn, type Lsn } from "./lsn.js";

export interface Begun {
  readonly commit: Lsn;
  readonly committedUs: bigint;
  readonly xid: number;
}

export const anchorOf = ({ commit, committedUs, xid }: Begun): Anchor =>
  anchor(Buffer.from(JSON.stringify([formatLsn(commit), xid, committedUs.toString()]), "utf8"));

export interface Expected {
  readonly commit: Lsn;
  readonly anchor: Anchor;
}

export class Past {
  #expected: readonly Expected[];

  constructor(expected: readonly Expected[]) {
    this.#expected = expected.toSorted((a, b) => a.commit - b.commit);
  }

  /** Cuts that some writer has stored, and that PostgreSQL has not told again yet. */
  get isPending(): boolean {
    return this.#expected.length > 0;
  }

  /** Transactions pass in the order of their commit records. */
  passes(begun: Begun): void {
    for (;;) {
      const [next] = this.#expected;
      if (next === undefined || next.commit > begun.commit) return;
      if (next.commit !== begun.commit || !sameBytes(next.anchor, anchorOf(begun))) throw replaced(next.commit, begun.commit);
      this.#expected = this.#expected.slice(1);
    }
  }
}

const replaced = (expected: Lsn, found: Lsn): TailraceError =>
  new TailraceError("source.past-replaced", {
    what: "The log holds a transaction that PostgreSQL does not have there any more",
    where: { expected: formatLsn(expected), found: formatLsn(found) },
  });
