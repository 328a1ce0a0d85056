/**
 * One log row as the changes it tells, given which keys are told at all. A key change that crosses the cursor is cut in two: the half above
 * it is told by the chunk that will read the row.
 */
import type { Change } from "../contracts/change.js";
import { type Position, position } from "../vocabulary/position.js";
import { type Key, keyText, type Row } from "../vocabulary/value.js";
import type { Hints } from "./hints.js";
import type { LogRow } from "./log-row.js";
import type { Tellable } from "./rereads.js";

export interface Telling {
  readonly history: number;
  readonly tellable: Tellable;
  readonly hints: Hints;
  readonly keyOf: (table: number, row: Row) => Key;
}

/** null: nothing is told, because the row is no change, or because a chunk will tell it. */
export function liveChange(row: LogRow, telling: Telling): Change | null {
  const { tellable, history, keyOf } = telling;
  switch (row.op) {
    case "I": {
      const key = keyOf(row.table, row.row);
      return tellable.tells(row.table, key) ? { kind: "create", at: position(history, row.seq), key, after: row.row } : null;
    }
    case "U":
      return updated(row, telling);
    case "D": {
      const key = keyOf(row.table, row.row);
      return tellable.tells(row.table, key) ? { kind: "delete", at: position(history, row.seq), key, before: row.row } : null;
    }
    case "R":
    case "T":
      return answered(row, telling);
    case "M":
    case "S":
      return null;
  }
}

function updated(row: Extract<LogRow, { op: "U" }>, { tellable, history, keyOf }: Telling): Change | null {
  const at: Position = position(history, row.seq);
  const key = keyOf(row.table, row.row);
  const tells = tellable.tells(row.table, key);
  if (keyText(key) === keyText(row.from)) return tells ? { kind: "update", at, key, after: row.row } : null;
  const told = tellable.tells(row.table, row.from);
  if (told && tells) return { kind: "rekey", at, from: row.from, key, after: row.row };
  if (told) return { kind: "delete", at, key: row.from, before: null };
  return tells ? { kind: "create", at, key, after: row.row } : null;
}

function answered(row: Extract<LogRow, { op: "R" | "T" }>, { tellable, history, hints }: Telling): Change | null {
  const answer = hints.answer(row.seq);
  if (answer === null || !tellable.tells(row.table, row.key)) return null;
  const at = position(history, row.seq);
  if (answer.kind === "is" && answer.row !== null) return { kind: "state", at, key: row.key, after: answer.row };
  return { kind: "delete", at, key: row.key, before: null };
}
