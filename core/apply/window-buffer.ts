/**
 * Parts of a window as they come, folded, until there are enough of them to write.
 *
 * Promises: what is flushed may be written table by table, segment by segment, and later parts may follow in the same transaction. Relies on each
 * table's parts coming in position order; finding them otherwise (chunks of several cuts behind live changes of a later one) it says OutOfOrder, and
 * the window is read again in source order.
 */
import type { Chunk, KeyScope } from "../contracts/change.js";
import type { WindowPart } from "../contracts/log.js";
import { TailraceError } from "../errors.js";
import type { TableId } from "../vocabulary/ids.js";
import { comparePositions, formatPosition, isAbove, type Position } from "../vocabulary/position.js";
import type { TableDescription } from "../vocabulary/table.js";
import { keyText, type Row, type Value } from "../vocabulary/value.js";
import { Fold } from "./fold.js";

export type Segment = LiveSegment | ChunkSegment;
export interface LiveSegment {
  readonly kind: "live";
  readonly fold: Fold;
}
/** Neighbouring chunks of one table, as one. */
export interface ChunkSegment {
  readonly kind: "chunks";
  readonly table: TableDescription;
  readonly scope: KeyScope;
  readonly at: Position;
  readonly chunks: readonly (readonly Row[])[];
}

export class OutOfOrder extends Error {}

const rowsMax = 20_000;
const bytesMax = 16 << 20;

export class WindowBuffer {
  #segments = new Map<TableId, Segment[]>();
  #rows = 0;
  #bytes = 0;
  readonly #last = new Map<TableId, Position>();

  /** Everything must be above `before`. */
  constructor(private readonly before: Position | null) {}

  add(part: WindowPart): void {
    const { table } = part;
    if (part.kind === "chunk") {
      this.#inOrder(table.table, part.chunk.at);
      this.#addChunk(table, part.chunk);
      return;
    }
    for (const change of part.changes) this.#inOrder(table.table, change.at);
    const fold = this.#liveFold(table.table);
    for (const change of part.changes) fold.add(table, change);
    this.#rows += part.changes.length;
    this.#bytes += part.bytes;
  }

  get isFull(): boolean {
    return this.#rows >= rowsMax || this.#bytes >= bytesMax;
  }

  hasChunks(): boolean {
    return [...this.#segments.values()].some((segments) => segments.some(({ kind }) => kind === "chunks"));
  }

  /** Hands over what is held and holds nothing any more. */
  take(): ReadonlyMap<TableId, readonly Segment[]> {
    const taken = this.#segments;
    this.#segments = new Map();
    this.#rows = 0;
    this.#bytes = 0;
    return taken;
  }

  peek(): ReadonlyMap<TableId, readonly Segment[]> {
    return this.#segments;
  }

  #inOrder(table: TableId, at: Position): void {
    if (this.before !== null && !isAbove(at, this.before)) {
      const where = { table, position: formatPosition(at), applied: formatPosition(this.before) };
      throw new TailraceError("target.applied-backwards", { what: "A change of the window is at or below the applied position", where });
    }
    const last = this.#last.get(table);
    if (last !== undefined && comparePositions(at, last) < 0) throw new OutOfOrder("a table's parts do not come in position order");
    this.#last.set(table, at);
  }

  #segmentsOf(table: TableId): Segment[] {
    const known = this.#segments.get(table);
    if (known !== undefined) return known;
    const segments: Segment[] = [];
    this.#segments.set(table, segments);
    return segments;
  }

  #liveFold(table: TableId): Fold {
    const segments = this.#segmentsOf(table);
    const last = segments.at(-1);
    if (last?.kind === "live") return last.fold;
    const fold = new Fold();
    segments.push({ kind: "live", fold });
    return fold;
  }

  #addChunk(table: TableDescription, chunk: Chunk): void {
    const segments = this.#segmentsOf(table.table);
    const last = segments.at(-1);
    this.#rows += chunk.rows.length;
    for (const row of chunk.rows) this.#bytes += bytesOf(row);
    if (last?.kind !== "chunks" || last.table !== table || !continues(last.scope, chunk.scope)) {
      segments.push({ kind: "chunks", table, scope: chunk.scope, at: chunk.at, chunks: [chunk.rows] });
      return;
    }
    const scope: KeyScope = { kind: "range", after: last.scope.after, upTo: chunk.scope.upTo };
    segments[segments.length - 1] = { ...last, scope, at: chunk.at, chunks: [...last.chunks, chunk.rows] };
  }
}

const continues = (first: KeyScope, second: KeyScope): boolean =>
  first.upTo !== null && second.after !== null && keyText(first.upTo) === keyText(second.after);

/** Roughly what a row holds. */
function bytesOf(row: Row): number {
  let bytes = 64;
  for (const value of row) bytes += bytesOfValue(value);
  return bytes;
}

function bytesOfValue(value: Value): number {
  if (typeof value === "string") return 16 + value.length;
  if (value instanceof Uint8Array) return 64 + value.byteLength;
  return 16;
}
