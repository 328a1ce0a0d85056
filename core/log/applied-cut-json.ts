/** The one text form of an applied cut: in `<prefix>.applied`, and wherever a target keeps what only we read. */
import type { Phase } from "../contracts/change.js";
import type { AppliedCut } from "../contracts/log.js";
import { anchor, logId, offset, writerEpoch } from "../vocabulary/ids.js";
import { formatPosition, parsePosition } from "../vocabulary/position.js";
import { countsFromJson, endsFromJson } from "./cut-records.js";

interface AppliedJson {
  logId: string;
  position: string;
  epoch: number;
  counts: Record<string, number>;
  offset: number;
  ends: Record<string, number[]>;
  anchor: string;
  phase: Phase;
}

export function appliedCutToJson(applied: AppliedCut): string {
  const json: AppliedJson = {
    logId: applied.logId,
    position: formatPosition(applied.position),
    epoch: applied.epoch,
    counts: Object.fromEntries(applied.counts),
    offset: applied.offset,
    ends: Object.fromEntries([...applied.ends].map(([name, ends]) => [name, [...ends]])),
    anchor: Buffer.from(applied.anchor).toString("base64"),
    phase: applied.phase,
  };
  return JSON.stringify(json);
}

/** Throws on anything that `appliedCutToJson` has not written. */
export function appliedCutFromJson(text: string): AppliedCut {
  const json = JSON.parse(text) as AppliedJson;
  return {
    logId: logId(json.logId),
    position: parsePosition(json.position),
    epoch: writerEpoch(json.epoch),
    counts: countsFromJson(json.counts),
    offset: offset(json.offset),
    ends: endsFromJson(json.ends),
    anchor: anchor(Uint8Array.from(Buffer.from(json.anchor, "base64"))),
    phase: json.phase,
  };
}
