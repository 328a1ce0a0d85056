/**
 * The check behind a fence: the last whole run says what was equal and as of where; what changed since is in the log, and only that is read.
 *
 * Relies on the proof being kept up: by the verify service, or by a run that ended so lately that the log still has all that came after it.
 */
import type { FinalCheck } from "../../core/contracts/cutover.js";
import type { RunRecord, VerificationStore } from "../../core/contracts/verification.js";
import { compareKeys } from "../../core/capture/key-order.js";
import { asTailraceError, TailraceError } from "../../core/errors.js";
import type { TableId } from "../../core/vocabulary/ids.js";
import type { Position } from "../../core/vocabulary/position.js";
import type { Key } from "../../core/vocabulary/value.js";
import { Ledger } from "./ledger.js";
import { newestProof } from "./proof.js";
import { reached, type Sides } from "./sides.js";
import { Tail } from "./tail.js";

export interface FinalCheckOptions {
  readonly sides: Sides;
  readonly store: VerificationStore;
  /** Every table of the plan. */
  readonly tables: readonly TableId[];
}

export function finalCheck(options: FinalCheckOptions): FinalCheck {
  return {
    cost: (signal) => cost(options, signal),
    advance: (signal) => advance(options, signal),
    check: (at, signal) => check(options, at, signal),
  };
}

const unproven = { dirtyRows: 0, dirtyChunks: 0, oldestProofMs: null };

async function cost(options: FinalCheckOptions, signal: AbortSignal): ReturnType<FinalCheck["cost"]> {
  const { sides, store } = options;
  const proof = await newestProof(options, signal);
  if (proof === null || sides.changes === null) return unproven;
  const chunks = (await store.chunks(proof.run, signal)).filter(({ table }) => options.tables.includes(table));
  const bounds = boundsOf(chunks);
  const dirty = new Set<string>();
  const dirtyChunks = new Set<string>();
  const head = await sides.source.position(signal);
  try {
    for await (const page of sides.changes.changedKeys({ after: proof.proven, upTo: head }, signal)) {
      for (const { table, key, id } of page) {
        dirty.add(`${table} ${id}`);
        dirtyChunks.add(`${table} ${chunkOf(bounds.get(table) ?? [], key)}`);
      }
    }
  } catch (thrown) {
    if (asTailraceError(thrown).code !== "source.pruned") throw thrown;
    return unproven;
  }
  const oldestProofMs = chunks.reduce((oldest, { ageMs }) => Math.max(oldest, ageMs), 0);
  return { dirtyRows: dirty.size, dirtyChunks: dirtyChunks.size, oldestProofMs };
}

async function check(options: FinalCheckOptions, at: Position, signal: AbortSignal): ReturnType<FinalCheck["check"]> {
  const proof = await newestProof(options, signal);
  if (proof === null) throw noProof("No run has compared every table to its end");
  const late = await reached(options.sides, at, signal);
  if (late !== null) throw new TailraceError("verify.not-there", { what: `The final check cannot be made: ${late}` });
  const { rowsRead, ledger } = await follow(options, proof, at, signal);
  const different = ledger
    .results()
    .filter(({ table }) => options.tables.includes(table))
    .reduce((sum, { missing, extra, changed, unsettled }) => sum + missing + extra + changed + unsettled, 0);
  return { equal: different === 0, rowsRead, different };
}

/** The same under writes, to where the target is now: what differs then is only suspected, and is looked at again behind the fence. */
async function advance(options: FinalCheckOptions, signal: AbortSignal): Promise<number> {
  const proof = await newestProof(options, signal);
  return proof === null ? 0 : (await follow(options, proof, undefined, signal)).rowsRead;
}

async function follow(
  { sides, store, tables }: FinalCheckOptions,
  proof: RunRecord,
  until: Position | undefined,
  signal: AbortSignal,
): Promise<{ readonly rowsRead: number; readonly ledger: Ledger }> {
  if (sides.changes === null) throw noProof("The source cannot tell what changed since the last run");
  const ledger = await Ledger.of(store, proof.tables, signal);
  const onSettled = (table: TableId, answers: Parameters<Ledger["settled"]>[1]): void => ledger.settled(table, answers);
  const tail = new Tail({ sides, changes: sides.changes, tables: new Set(tables), from: proof.proven, onSettled });
  try {
    while (await tail.advance(signal, until));
  } catch (thrown) {
    if (asTailraceError(thrown).code !== "source.pruned") throw thrown;
    throw noProof("The log has lost what came after the last run", thrown);
  }
  await ledger.flush(proof.run, tail.proven, signal);
  return { rowsRead: tail.rows, ledger };
}

const noProof = (what: string, cause?: unknown): TailraceError => new TailraceError("verify.unproven", { what, cause });

type Bounds = ReadonlyMap<TableId, readonly (Key | null)[]>;

/** Upper ends of each table's ranges, in key order. */
function boundsOf(chunks: readonly { readonly table: TableId; readonly scope: { readonly upTo: Key | null } }[]): Bounds {
  const bounds = new Map<TableId, (Key | null)[]>();
  for (const { table, scope } of chunks) {
    const known = bounds.get(table);
    if (known === undefined) bounds.set(table, [scope.upTo]);
    else known.push(scope.upTo);
  }
  return bounds;
}

/** Number of the range that the key lies in. */
function chunkOf(upper: readonly (Key | null)[], key: Key): number {
  let low = 0;
  let high = upper.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    const end = upper[middle] ?? null;
    if (end === null || compareKeys(key, end) <= 0) high = middle;
    else low = middle + 1;
  }
  return low;
}
