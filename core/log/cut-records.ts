/**
 * The records of `<prefix>.cuts`: one partition, obeyed in offset order. JSON, so that an operator can read the log with any console consumer;
 * the shapes are pinned by golden lines in test/core/log. A cut names only topics that changed since its epoch's start: the start holds all.
 */
import type { Control, Phase, Phases } from "../contracts/change.js";
import type { Counts, Ends } from "../contracts/log.js";
import type { StoredRecord } from "../contracts/log-store.js";
import { TailraceError } from "../errors.js";
import {
  type Anchor,
  anchor,
  groupId,
  type LogId,
  logId,
  type Offset,
  offset,
  type ResumeToken,
  resumeToken,
  topic,
  type WriterEpoch,
  type WriterId,
  writerEpoch,
  writerId,
} from "../vocabulary/ids.js";
import { formatPosition, type Position, parsePosition } from "../vocabulary/position.js";

export type CutsRecord = LogRecord | ClaimRecord | StartRecord | ControlRecord | CutRecord;

export interface LogRecord {
  readonly kind: "log";
  readonly id: LogId;
  readonly pipeline: string;
}
export interface ClaimRecord {
  readonly kind: "claim";
  readonly epoch: WriterEpoch;
  readonly writer: WriterId;
}
/** What start and cut have in common: everything a writer or reader needs to go on from there. */
export interface CutBody {
  readonly epoch: WriterEpoch;
  readonly position: Position;
  readonly counts: Counts;
  /** Start: the partitions' ends when it was picked. Cut: expected ends, hints. */
  readonly ends: Ends;
  /** Both null only in a start at the origin. */
  readonly resume: ResumeToken | null;
  readonly anchor: Anchor | null;
  readonly phases: Phases;
}
export interface StartRecord extends CutBody {
  readonly kind: "start";
}
export interface CutRecord extends CutBody {
  readonly kind: "cut";
}
export interface ControlRecord {
  readonly kind: "control";
  readonly epoch: WriterEpoch;
  readonly control: Control;
}

export function encodeCutsRecord(record: CutsRecord): Uint8Array {
  return Buffer.from(JSON.stringify(toJson(record)), "utf8");
}

function toJson(record: CutsRecord): unknown {
  switch (record.kind) {
    case "log":
    case "claim":
      return record;
    case "control":
      return { ...record, control: { ...record.control, at: formatPosition(record.control.at) } };
    case "start":
    case "cut":
      return {
        kind: record.kind,
        epoch: record.epoch,
        position: formatPosition(record.position),
        counts: Object.fromEntries(record.counts),
        ends: Object.fromEntries(record.ends),
        resume: record.resume === null ? null : base64(record.resume),
        anchor: record.anchor === null ? null : base64(record.anchor),
        phases: Object.fromEntries(record.phases),
      };
    default:
      throw new TailraceError("internal", { what: "a record of .cuts without a kind" });
  }
}

export function decodeCutsRecord(stored: StoredRecord): CutsRecord {
  try {
    const json = JSON.parse(Buffer.from(stored.value ?? []).toString("utf8")) as Json;
    return fromJson(json);
  } catch (cause) {
    throw new TailraceError("log.garbage", {
      what: "a record of .cuts cannot be understood",
      where: { topic: stored.topic, offset: stored.offset },
      cause,
    });
  }
}

/** Written by `toJson` above and by nothing else; whatever is missing fails here, in one place. */
interface Json {
  kind: string;
  id: string;
  pipeline: string;
  epoch: number;
  writer: string;
  position: string;
  counts: Record<string, number>;
  ends: Record<string, number[]>;
  resume: string | null;
  anchor: string | null;
  phases: Record<string, Phase>;
  control: Control & { at: string };
}

function fromJson(json: Json): CutsRecord {
  switch (json.kind) {
    case "log":
      return { kind: "log", id: logId(text(json.id)), pipeline: text(json.pipeline) };
    case "claim":
      return { kind: "claim", epoch: epochOf(json), writer: writerId(text(json.writer)) };
    case "control":
      return {
        kind: "control",
        epoch: epochOf(json),
        control: { ...json.control, at: parsePosition(json.control.at) } as unknown as Control,
      };
    case "start":
    case "cut":
      return {
        kind: json.kind,
        epoch: epochOf(json),
        position: parsePosition(json.position),
        counts: countsFromJson(json.counts),
        ends: endsFromJson(json.ends),
        resume: json.resume === null ? null : resumeToken(Buffer.from(json.resume, "base64")),
        anchor: json.anchor === null ? null : anchor(Buffer.from(json.anchor, "base64")),
        phases: new Map(Object.entries(json.phases).map(([group, phase]) => [groupId(Number(group)), phase])),
      };
    default:
      throw new Error(`unknown kind '${json.kind}'`);
  }
}

export const countsFromJson = (json: Record<string, number>): Counts =>
  new Map(Object.entries(json).map(([name, n]) => [topic(name), whole(n)]));
export const endsFromJson = (json: Record<string, number[]>): Ends =>
  new Map(Object.entries(json).map(([name, ends]) => [topic(name), ends.map((n): Offset => offset(whole(n)))]));
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
const epochOf = (json: Json): WriterEpoch => writerEpoch(whole(json.epoch));

function whole(n: unknown): number {
  if (typeof n !== "number" || !Number.isSafeInteger(n) || n < 0) throw new Error(`${String(n)} is not a count`);
  return n;
}
function text(value: unknown): string {
  if (typeof value !== "string") throw new Error("text expected");
  return value;
}
