/**
 * The reader's only state, as bytes in every cut: where it was, which past that was, and what is still to be read again. Tables that wait
 * are stored as runs of numbers, so that a source with thousands of tables stays far below the 64 KiB that a token may have.
 */
import { TailraceError } from "../errors.js";
import type { Phase } from "../contracts/change.js";
import { anchor, type Anchor, rereadId, resumeToken, type ResumeToken } from "../vocabulary/ids.js";
import type { Position } from "../vocabulary/position.js";
import { isRawText, type Key, type Value } from "../vocabulary/value.js";
import type { Rereads, RereadMode, WaitingTable } from "./rereads.js";

export interface ResumeState {
  readonly at: Position;
  readonly anchor: Anchor;
  readonly phase: Phase;
  /** Highest schema version that was told in this history. */
  readonly schemaTold: number;
  readonly rereads: Rereads;
}

/** A cursor longer than this is left out: the table is read again from its beginning, which converges as well. */
const cursorTextMax = 24_000;
/** More runs than this (thousands of single requests, each with its own name) are joined under the last name. */
const runsMax = 400;

type Run = [mode: RereadMode, reread: string, ranges: [from: number, to: number][]];
interface TokenText {
  readonly v: 1;
  readonly at: [number, number, number];
  readonly anchor: string;
  readonly phase: Phase;
  readonly told: number;
  readonly reading: [mode: RereadMode, reread: string, table: number, rows: number, cursor: unknown] | null;
  readonly waiting: readonly Run[];
}

export function encodeToken(state: ResumeState): ResumeToken {
  const { reading, waiting } = state.rereads;
  const text: TokenText = {
    v: 1,
    at: [state.at.history, state.at.order, state.at.index],
    anchor: Buffer.from(state.anchor).toString("base64"),
    phase: state.phase,
    told: state.schemaTold,
    reading: reading === null ? null : [reading.mode, reading.reread, reading.table, reading.rows, cursorText(reading.cursor)],
    waiting: runsOf(waiting),
  };
  return resumeToken(Buffer.from(JSON.stringify(text), "utf8"));
}

export function decodeToken(token: ResumeToken): ResumeState {
  try {
    const text = JSON.parse(Buffer.from(token).toString("utf8")) as TokenText;
    const [history, order, index] = text.at;
    if (text.v !== 1) throw new Error(`version ${String(text.v)}`);
    return {
      at: { history, order, index },
      anchor: anchor(Buffer.from(text.anchor, "base64")),
      phase: text.phase,
      schemaTold: text.told,
      rereads: { reading: readingOf(text), waiting: text.waiting.flatMap(tablesOf) },
    };
  } catch (cause) {
    throw new TailraceError("log.garbage", { what: "A resume token in the cuts is not one of this source", cause });
  }
}

function readingOf(text: TokenText): Rereads["reading"] {
  if (text.reading === null) return null;
  const [mode, reread, table, rows, cursor] = text.reading;
  const key = cursor === null ? null : (cursor as unknown[]).map(parseValue);
  return { mode, reread: rereadId(reread), table, rows: key === null ? 0 : rows, cursor: key };
}

function cursorText(cursor: Key | null): unknown {
  const text = cursor === null ? null : cursor.map(printValue);
  return text !== null && JSON.stringify(text).length > cursorTextMax ? null : text;
}

function runsOf(waiting: readonly WaitingTable[]): readonly Run[] {
  const runs: Run[] = [];
  for (const { mode, reread, table } of waiting) {
    let run = runs.at(-1);
    const joins = run !== undefined && run[0] === mode && (run[1] === reread || runs.length >= runsMax);
    if (run === undefined || !joins) {
      run = [mode, reread, []];
      runs.push(run);
    }
    const range = run[2].at(-1);
    if (range !== undefined && range[1] === table - 1) range[1] = table;
    else run[2].push([table, table]);
  }
  return runs;
}

function tablesOf([mode, reread, ranges]: Run): WaitingTable[] {
  return ranges.flatMap(([from, to]) =>
    Array.from({ length: to - from + 1 }, (_, i) => ({ mode, reread: rereadId(reread), table: from + i })),
  );
}

function printValue(value: Value): unknown {
  if (value === null || typeof value === "string") return value;
  if (typeof value === "bigint") return { i: value.toString() };
  if (typeof value === "number") return { r: String(value) };
  if (value instanceof Uint8Array) return { x: Buffer.from(value).toString("base64") };
  if (isRawText(value)) return { w: Buffer.from(value.rawText).toString("base64") };
  throw new Error("a key holds a value that no source of ours has");
}

function parseValue(text: unknown): Value {
  if (text === null || typeof text === "string") return text;
  const tagged = text as { i?: string; r?: string; x?: string; w?: string };
  if (tagged.i !== undefined) return BigInt(tagged.i);
  if (tagged.r !== undefined) return Number(tagged.r);
  if (tagged.x !== undefined) return new Uint8Array(Buffer.from(tagged.x, "base64"));
  if (tagged.w !== undefined) return { rawText: new Uint8Array(Buffer.from(tagged.w, "base64")) };
  throw new Error("unknown value in a cursor");
}
