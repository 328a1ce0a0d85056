/** The offsets of one pipeline, read from the target back to the source. */
import { forwardGroups } from "../../connectors/postgres/cutover/forward-groups.js";
import { connectTarget } from "../../connectors/postgres/connect.js";
import type { AppliedCut } from "../../core/contracts/log.js";
import type { Conservation } from "../../core/contracts/target.js";
import { appliedView } from "../../core/log/applied-view.js";
import { readLogEnd } from "../../core/log/log-end.js";
import { groupsOf } from "../../core/plan/groups.js";
import type { Secret } from "../../core/secret.js";
import type { Settings } from "../../core/settings.js";
import type { TableId } from "../../core/vocabulary/ids.js";
import { formatPosition } from "../../core/vocabulary/position.js";
import { judgeOffsets, type Offsets } from "../../services/verify/offsets.js";
import { withLog } from "./proposal.js";
import { sourceFile } from "./source.js";

export async function readOffsets(settings: Settings, url: Secret, signal: AbortSignal): Promise<Offsets> {
  await using target = await connectTarget({ url, pipeline: settings.pipeline }, signal);
  const groups = await forwardGroups({ url, pipeline: settings.pipeline }, groupsOf(await target.plan(signal)), signal);
  const totals = new Map<TableId, Conservation>();
  const cuts: (AppliedCut | null)[] = [];
  for (const { id } of groups) {
    for (const [table, counts] of await target.totals(id, signal)) totals.set(table, counts);
    cuts.push(await target.applied(id, signal));
  }
  const applied = appliedView(
    cuts.filter((cut) => cut !== null),
    cuts.includes(null),
  ).least;
  const log = await withLog(settings, "verify", (store) => readLogEnd(store, settings.prefix, signal));
  const source = sourceFile(settings).offsets({ applied: applied?.position ?? null, log: log?.position ?? null });
  return judgeOffsets(source, log, { applied, totals });
}

export const offsetsData = ({ source, log, target, findings }: Offsets): Readonly<Record<string, unknown>> => ({
  source: formatPosition(source.head),
  log: log === null ? null : formatPosition(log.position),
  target: target.applied === null ? null : formatPosition(target.applied.position),
  tables: [...source.tables].map(([table, waiting]) => ({ table, waiting, ...target.totals.get(table) })),
  findings,
});
