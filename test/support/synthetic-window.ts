/** Windows made by hand: a fake of our own contract, for what has no log behind it. */
import type { Change, Chunk, Control, Phase } from "../../core/contracts/change.js";
import type { AppliedCut, Window, WindowPart } from "../../core/contracts/log.js";
import { theGroup, anchor, logId, offset, rereadId, schemaVersion, tableId, topic, writerEpoch } from "../../core/vocabulary/ids.js";
import { comparePositions, type Position, position } from "../../core/vocabulary/position.js";
import type { StorageClass, TableDescription } from "../../core/vocabulary/table.js";
import type { Key, Row } from "../../core/vocabulary/value.js";

export const testLog = logId("log-of-the-test");

/** `columns`: name to storage class; nullable but for the key. */
export function describeTable(
  name: string,
  columns: Readonly<Record<string, StorageClass>>,
  key: readonly [string, ...string[]],
): TableDescription {
  const names = Object.keys(columns);
  const [first, ...rest] = key.map((column) => names.indexOf(column));
  return {
    table: tableId(name),
    group: theGroup,
    schema: schemaVersion(1),
    columns: Object.entries(columns).map(([column, storage]) => ({
      name: column,
      declaredType: storage,
      nullable: !key.includes(column),
      generated: false,
      classes: [storage],
    })),
    key: [first ?? 0, ...rest],
  };
}

export function cutAt(at: Position, phase: Phase = "streaming", log = testLog): AppliedCut {
  return {
    logId: log,
    position: at,
    epoch: writerEpoch(1),
    counts: new Map([[topic("test.t"), at.order]]),
    offset: offset(at.order),
    ends: new Map([[topic("test.t"), [offset(at.order)]]]),
    anchor: anchor(Uint8Array.of(at.order % 256)),
    phase,
  };
}

export interface WindowOptions {
  readonly before: AppliedCut | null;
  readonly parts: readonly WindowPart[];
  readonly controls?: readonly Control[];
  readonly phase?: Phase;
  /** Default: the highest position of the parts, or one order above `before`. */
  readonly to?: Position;
  readonly log?: AppliedCut["logId"];
  /** Called before each part is handed over: to stall, to fail, to count. */
  readonly onPart?: (number: number) => Promise<void> | void;
}

/** `parts` as the log would give them: the caller keeps each table's parts in position order. */
export function windowOf(options: WindowOptions): Window & { readonly timesRead: () => number } {
  const { before, parts, controls = [], onPart } = options;
  const end = options.to ?? highest(parts) ?? position(before?.position.history ?? 0, (before?.position.order ?? 0) + 1);
  const after = cutAt(end, options.phase, options.log);
  let read = 0;
  async function* each(list: readonly WindowPart[], signal: AbortSignal): AsyncGenerator<WindowPart> {
    read += 1;
    for (const [number, part] of list.entries()) {
      signal.throwIfAborted();
      await onPart?.(number);
      yield part;
    }
  }
  return {
    before,
    after: () => after,
    controls,
    records: parts.length,
    parts: (signal) => each(parts, signal),
    inSourceOrder: (signal) => each(inSourceOrder(parts), signal),
    timesRead: () => read,
  };
}

export const changesOf = (table: TableDescription, ...changes: readonly Change[]): WindowPart => ({
  kind: "changes",
  table,
  changes,
  bytes: changes.length * 300,
});

export const chunkOf = (
  table: TableDescription,
  chunk: { readonly after: Key | null; readonly upTo: Key | null; readonly at: Position; readonly rows: readonly Row[] },
): WindowPart => ({
  kind: "chunk",
  table,
  chunk: {
    reread: rereadId("r1"),
    scope: { kind: "range", after: chunk.after, upTo: chunk.upTo },
    at: chunk.at,
    rows: chunk.rows,
    last: chunk.upTo === null,
  } satisfies Chunk,
});

export const created = (order: number, key: Key, after: Row): Change => ({ kind: "create", at: position(0, order), key, after });
export const updated = (order: number, key: Key, after: Row): Change => ({ kind: "update", at: position(0, order), key, after });
export const rekeyed = (order: number, from: Key, key: Key, after: Row): Change => ({
  kind: "rekey",
  at: position(0, order),
  from,
  key,
  after,
});
export const deleted = (order: number, key: Key): Change => ({ kind: "delete", at: position(0, order), key, before: null });

const positionOf = (part: WindowPart): Position | undefined => (part.kind === "chunk" ? part.chunk.at : part.changes.at(-1)?.at);

function highest(parts: readonly WindowPart[]): Position | undefined {
  return parts
    .map(positionOf)
    .filter((at) => at !== undefined)
    .toSorted(comparePositions)
    .at(-1);
}

function inSourceOrder(parts: readonly WindowPart[]): readonly WindowPart[] {
  const single = parts.flatMap((part) => (part.kind === "chunk" ? [part] : part.changes.map((change) => changesOf(part.table, change))));
  const at = (part: WindowPart): Position => positionOf(part) ?? position(0, 0);
  return single.toSorted((a, b) => comparePositions(at(a), at(b)));
}
