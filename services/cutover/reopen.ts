/**
 * The way back of a group that was switched over, opened anew after something of it was lost, and the file told what it has missed.
 *
 * Promises: from the first act on nothing that was proven before counts, so a rollback compares every row until somebody has proven both sides equal again;
 * rows are compared only once the file has all that was carried back, so a change that is still on its way cannot undo what they are told. Each act may be
 * repeated, and a crash leaves a way back that is closed or one that is open: running it again does the rest.
 */
import { TailraceError } from "../../core/errors.js";
import { timeLimit } from "../../core/time-limit.js";
import type { TableId } from "../../core/vocabulary/ids.js";
import { formatPosition } from "../../core/vocabulary/position.js";
import type { CutoverParts, MissedChanges } from "./parts.js";
import type { ToldTable } from "./tell-again.js";

export interface Reopened {
  /** Where it begins. */
  readonly begins: string;
  readonly tables: readonly ToldTable[];
}
export type ReopenParts = CutoverParts & { readonly missed: MissedChanges };
type Said = (what: string) => void;

export async function reopenWayBack(
  parts: ReopenParts,
  { tables, say, onChanging }: { readonly tables: readonly TableId[]; readonly say: Said; readonly onChanging: () => void },
  signal: AbortSignal,
): Promise<Reopened> {
  const { wayBack, group, missed, desk, holder } = parts;
  // Nobody brings the application home meanwhile.
  await using session = await desk.take(group, holder, signal);
  if (session.record !== null) {
    throw new TailraceError("cutover.refused", { what: `A ${session.record.kind} was left at '${session.record.state}': settle it first` });
  }
  await refuseUnswitched(parts, signal);
  if (wayBack === null) throw new TailraceError("cutover.refused", { what: "A way back cannot be opened and gone without" });
  onChanging();
  await wayBack.close(group, signal);
  await missed.unprove(signal);
  const begins = formatPosition(await wayBack.open(group, signal));
  say(`opened at ${begins}; waiting for the file to have everything that was carried back before`);
  return { begins, tables: await toldAgain(parts, { tables, say }, signal) };
}

/** No write waits for it, and the service has to notice that there is one again. */
const patience = 4;

/** Legal while a way back is open. */
export async function toldAgain(
  parts: ReopenParts,
  { tables, say }: { readonly tables: readonly TableId[]; readonly say: Said },
  signal: AbortSignal,
): Promise<readonly ToldTable[]> {
  const { wayBack, group, missed, limits, newMarker } = parts;
  await refuseUnswitched(parts, signal);
  {
    using limit = timeLimit(signal, patience * limits.canaryMs);
    await wayBack?.prove(group, newMarker(), limit.signal);
  }
  say("comparing both sides, and telling the file again what differs");
  return await missed.tellAgain(tables, signal);
}

async function refuseUnswitched({ desk, group }: Pick<CutoverParts, "desk" | "group">, signal: AbortSignal): Promise<void> {
  const { side } = await desk.route(group, signal);
  if (side === "target") return;
  throw new TailraceError("cutover.refused", { what: `Applications write to the ${side}: the way back is opened by the next cutover` });
}
