/** Batches of a source, straight into a session of the target, with no log in between. */
import type { Control, Phase } from "../../core/contracts/change.js";
import type { WindowPart } from "../../core/contracts/log.js";
import type { Batch } from "../../core/contracts/source.js";
import type { TargetSession } from "../../core/contracts/target.js";
import { TailraceError } from "../../core/errors.js";
import { theGroup } from "../../core/vocabulary/ids.js";
import type { Position } from "../../core/vocabulary/position.js";
import { windowOf } from "./synthetic-window.js";

/** PostgreSQL ends the session of an owner that was silent for five seconds, as on a machine that stalls: then a new one is as good. */
export const isOfTheSession = (thrown: unknown): boolean =>
  thrown instanceof TailraceError &&
  (thrown.verdict === "stand-by" || thrown.code === "target.unavailable" || thrown.code === "target.undecided");

export interface TakenWindow {
  readonly parts: readonly WindowPart[];
  readonly controls: readonly Control[];
  readonly phase: Phase;
  readonly to: Position;
}

export async function takeBatch(batch: Batch, signal: AbortSignal): Promise<TakenWindow> {
  const parts: WindowPart[] = [];
  const controls: Control[] = [];
  for await (const part of batch.parts(signal)) {
    if (part.kind === "control") controls.push(part.control);
    else parts.push(part.kind === "changes" ? { ...part, bytes: 0 } : part);
  }
  const phase = batch.end().phases.get(theGroup) ?? "streaming";
  return { parts, controls, phase, to: batch.position };
}

export async function applyWindow(session: TargetSession, { parts, controls, phase, to }: TakenWindow, signal: AbortSignal): Promise<void> {
  await session.apply(windowOf({ before: session.applied, parts, controls, phase, to }), signal);
  if (phase === "streaming" && session.unfinished()) await session.finish(signal);
}
