/** How taken records are handed on: grouped into parts, table by table or in source order. */
import type { WindowPart } from "../contracts/log.js";
import { TailraceError } from "../errors.js";
import { comparePositions } from "../vocabulary/position.js";
import type { Change } from "../contracts/change.js";
import type { TableDescription } from "../vocabulary/table.js";
import type { LaneEntry } from "./lane.js";

const changesPerPart = 1000;

/** Neighbours of the same table become one part. */
export function* toParts(entries: Iterable<LaneEntry>): Generator<WindowPart> {
  let table: TableDescription | null = null;
  let changes: Change[] = [];
  let bytes = 0;
  for (const { record } of entries) {
    const { body } = record;
    if (body.kind === "counted") continue;
    if (table !== null && (body.kind === "chunk" || body.table !== table || changes.length === changesPerPart)) {
      yield { kind: "changes", table, changes, bytes };
      table = null;
      changes = [];
      bytes = 0;
    }
    if (body.kind === "chunk") yield { kind: "chunk", table: body.table, chunk: body.chunk };
    else {
      table = body.table;
      changes.push(body.change);
      bytes += record.bytes;
    }
  }
  if (table !== null) yield { kind: "changes", table, changes, bytes };
}

/** Merges lists that are each in position order. At equal positions (the two halves of a key change) the order within a list stays. */
export function* mergeByPosition(lists: readonly (readonly LaneEntry[])[]): Generator<LaneEntry> {
  const cursors = lists.filter((list) => list.length > 0).map((list) => ({ list, next: 0 }));
  for (;;) {
    let first: { list: readonly LaneEntry[]; next: number } | null = null;
    let least: LaneEntry | null = null;
    for (const cursor of cursors) {
      const entry = cursor.list[cursor.next];
      if (entry !== undefined && (least === null || comparePositions(entry.record.at, least.record.at) < 0)) {
        least = entry;
        first = cursor;
      }
    }
    if (first === null || least === null) return;
    first.next += 1;
    yield least;
  }
}

export function assertRising(lists: readonly (readonly LaneEntry[])[]): void {
  for (const list of lists) {
    for (let i = 1; i < list.length; i++) {
      const [a, b] = [list[i - 1], list[i]];
      if (a !== undefined && b !== undefined && comparePositions(a.record.at, b.record.at) > 0) {
        throw new TailraceError("log.rewound", { what: "positions of one epoch fall within a partition", where: { offset: b.offset } });
      }
    }
  }
}
