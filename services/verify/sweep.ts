/**
 * Reads one table range by range. Ranges that differ wait until there are enough suspects to be worth one wait for the target: a target that is
 * behind is waited for once per batch, not once per range.
 */
import type { KeyScope } from "../../core/contracts/change.js";
import type { RowName } from "../../core/contracts/row-reader.js";
import type { ChunkProof, ProofState } from "../../core/contracts/verification.js";
import { idHash } from "../../core/mapping/row-names.js";
import type { TableId } from "../../core/vocabulary/ids.js";
import type { Position } from "../../core/vocabulary/position.js";
import type { Ledger } from "./ledger.js";
import { checkScope } from "./scope-check.js";
import { settle } from "./settle.js";
import { lower, type Sides } from "./sides.js";

export interface SweepOptions {
  readonly sides: Sides;
  readonly ledger: Ledger;
  readonly table: TableId;
  /** Go on behind this many ranges, the last of which ends here. */
  readonly from: { readonly number: number; readonly after: KeyScope["upTo"] };
  readonly rowsPerScope: number;
  /** After each range; may wait. */
  readonly onRange: (rows: number) => Promise<void>;
  readonly onChunk: (proof: ChunkProof) => void;
}

const suspectsMax = 5_000;

interface WaitingRange {
  readonly number: number;
  readonly scope: KeyScope;
  readonly rows: number;
  at: Position;
  state: ProofState;
  readonly seen: Set<string>;
}

export async function sweepTable(options: SweepOptions, signal: AbortSignal): Promise<void> {
  const { sides, ledger, table, from, rowsPerScope, onRange } = options;
  const pool = new SuspectPool(options, signal);
  let number = from.number;
  const within: KeyScope = { kind: "range", after: from.after, upTo: null };
  for await (const scope of sides.source.scopes(table, { rowsPerScope, within }, signal)) {
    const check = await checkScope(sides, table, scope, signal);
    const range: WaitingRange = { number: number++, scope, rows: check.rows, at: check.at, state: "equal", seen: new Set() };
    for await (const suspects of check.suspects) await pool.add(range, suspects);
    await pool.rangeEnded(range);
    await onRange(check.rows);
  }
  await pool.settle();
  ledger.update(table, { state: "done" });
}

class SuspectPool {
  #waiting: { readonly range: WaitingRange; readonly row: RowName }[] = [];
  /** Read to their end, in order. */
  #ranges: WaitingRange[] = [];

  constructor(
    private readonly options: SweepOptions,
    private readonly signal: AbortSignal,
  ) {}

  async add(range: WaitingRange, rows: readonly RowName[]): Promise<void> {
    for (const row of rows) {
      this.#waiting.push({ range, row });
      if (this.#waiting.length >= suspectsMax) await this.#settleRows();
    }
  }

  async rangeEnded(range: WaitingRange): Promise<void> {
    this.#ranges.push(range);
    if (this.#waiting.length === 0) this.#done();
    else if (this.#ranges.length >= suspectsMax) await this.settle();
  }

  async settle(): Promise<void> {
    await this.#settleRows();
    this.#done();
  }

  async #settleRows(): Promise<void> {
    if (this.#waiting.length === 0) return;
    const { sides, ledger, table } = this.options;
    const waiting = this.#waiting;
    this.#waiting = [];
    const answers = await settle(
      sides,
      table,
      waiting.map(({ row }) => row),
      this.signal,
    );
    const byId = new Map(answers.map((answer) => [answer.row.id, answer]));
    for (const { range, row } of waiting) {
      const answer = byId.get(row.id);
      if (answer === undefined) throw new Error("a row was to be settled and was not");
      range.seen.add(idHash(row.id));
      range.at = lower(range.at, answer.at);
      if (answer.kind === "unsettled") range.state = range.state === "different" ? "different" : "unsettled";
      else if (answer.kind !== "equal") range.state = "different";
    }
    ledger.settled(table, answers);
  }

  #done(): void {
    const { ledger, table, onChunk } = this.options;
    for (const { number, scope, rows, at, state, seen } of this.#ranges) {
      const proof = { table, number, scope, rows, state, at };
      ledger.chunk(proof, seen);
      onChunk(proof);
    }
    this.#ranges = [];
  }
}
