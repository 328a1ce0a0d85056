/**
 * One range of keys on both sides: equal by its digest, or the rows of it that are to be looked at one by one. What holds too many rows to be listed
 * is cut again where it has most of them, so that memory is bounded whatever a side holds.
 */
import { breathe } from "../../core/clock.js";
import type { KeyScope } from "../../core/contracts/change.js";
import type { KeyedDigest, Labelled, RowName, ScopeDigest } from "../../core/contracts/row-reader.js";
import { asTailraceError } from "../../core/errors.js";
import { sameDigest } from "../../core/mapping/row-hash.js";
import type { TableId } from "../../core/vocabulary/ids.js";
import type { Position } from "../../core/vocabulary/position.js";
import { lower, type Sides } from "./sides.js";

export interface ScopeCheck {
  /** At the source. */
  readonly rows: number;
  /** What is not a suspect is equal as of here. */
  readonly at: Position;
  /** By batches; none when the range is equal. */
  readonly suspects: AsyncIterable<readonly RowName[]>;
}

const listedMax = 20_000;
const cutTo = 4_096;

export async function checkScope(sides: Sides, table: TableId, scope: KeyScope, signal: AbortSignal): Promise<ScopeCheck> {
  const [target, source] = await digestBoth(sides, table, scope, signal);
  const equal = sameDigest(source.value, target.value);
  return {
    rows: source.value.rows,
    at: lower(source.at, target.at),
    suspects: equal ? none() : suspectsOf(sides, table, scope, signal),
  };
}

/** The server hashes its side while this process hashes its own, without a pause: so the statement is sent before that begins. */
async function digestBoth(
  { direction, source, target }: Sides,
  table: TableId,
  scope: KeyScope,
  signal: AbortSignal,
): Promise<readonly [target: Labelled<ScopeDigest>, source: Labelled<ScopeDigest>]> {
  if (direction === "reverse")
    return await Promise.all([breathe().then(() => target.digest(table, scope, signal)), source.digest(table, scope, signal)]);
  return await Promise.all([target.digest(table, scope, signal), breathe().then(() => source.digest(table, scope, signal))]);
}

async function* none(): AsyncGenerator<readonly RowName[]> {}

async function* suspectsOf(sides: Sides, table: TableId, scope: KeyScope, signal: AbortSignal): AsyncGenerator<readonly RowName[]> {
  const listed = await listBoth(sides, table, scope, signal);
  if (listed !== null) {
    const suspects = differing(listed.source, listed.target);
    if (suspects.length > 0) yield suspects;
    return;
  }
  const [target, source] = await digestBoth(sides, table, scope, signal);
  const larger = target.value.rows > source.value.rows ? sides.target : sides.source;
  for await (const part of larger.scopes(table, { rowsPerScope: cutTo, within: scope }, signal)) {
    yield* (await checkScope(sides, table, part, signal)).suspects;
  }
}

interface Listed {
  readonly source: readonly KeyedDigest[];
  readonly target: readonly KeyedDigest[];
}

/** Null: there are too many. */
async function listBoth(sides: Sides, table: TableId, scope: KeyScope, signal: AbortSignal): Promise<Listed | null> {
  try {
    const target = await sides.target.digests(table, scope, listedMax, signal);
    const source = await sides.source.digests(table, scope, listedMax, signal);
    return { source: source.value, target: target.value };
  } catch (thrown) {
    if (asTailraceError(thrown).code !== "verify.scope-too-large") throw thrown;
    return null;
  }
}

/** The source's own key comes first: it has the storage class of the row that is there. */
function differing(source: readonly KeyedDigest[], target: readonly KeyedDigest[]): readonly RowName[] {
  const theirs = new Map(target.map((row) => [row.id, row]));
  const suspects: RowName[] = [];
  for (const { id, key, digest } of source) {
    if (theirs.get(id)?.digest !== digest) suspects.push({ id, key });
    theirs.delete(id);
  }
  for (const { id, key } of theirs.values()) suspects.push({ id, key });
  return suspects;
}
