/** Where the next batch of the way back begins, as bytes in every cut. */
import { TailraceError } from "../../../core/errors.js";
import { type Anchor, anchor, resumeToken, type ResumeToken } from "../../../core/vocabulary/ids.js";
import { formatPosition, parsePosition, type Position } from "../../../core/vocabulary/position.js";

export interface WayToken {
  /** Which opening of the way back this belongs to: another one begins at its own slot, whatever came before. */
  readonly opening: string;
  readonly at: Position;
  readonly anchor: Anchor;
}

export function encodeWayToken({ opening, at, anchor: past }: WayToken): ResumeToken {
  const text = JSON.stringify({ v: 1, opening, at: formatPosition(at), anchor: Buffer.from(past).toString("base64") });
  return resumeToken(Buffer.from(text, "utf8"));
}

export function decodeWayToken(token: ResumeToken): WayToken {
  try {
    const { v, opening, at, anchor: past } = JSON.parse(Buffer.from(token).toString("utf8")) as Readonly<Record<string, unknown>>;
    if (v !== 1 || typeof opening !== "string" || typeof at !== "string" || typeof past !== "string") throw new Error("unknown form");
    return { opening, at: parsePosition(at), anchor: anchor(Buffer.from(past, "base64")) };
  } catch (cause) {
    throw new TailraceError("log.garbage", { what: "A resume token in the cuts is not one of the way back", cause });
  }
}
