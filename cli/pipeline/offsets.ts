/** The offsets of one pipeline, read from the side that follows back to the one that is written to. */
import { forwardGroups } from "../../connectors/postgres/cutover/forward-groups.js";
import { connectTarget } from "../../connectors/postgres/connect.js";
import { newestPosition } from "../../connectors/postgres/source/newest.js";
import type { AppliedCut } from "../../core/contracts/log.js";
import type { Conservation, Target } from "../../core/contracts/target.js";
import { appliedView } from "../../core/log/applied-view.js";
import { readLogEnd } from "../../core/log/log-end.js";
import { groupsOf, type TableGroup } from "../../core/plan/groups.js";
import type { Secret } from "../../core/secret.js";
import type { Settings } from "../../core/settings.js";
import { backPrefix } from "../../core/topics.js";
import { type GroupId, type TableId, theGroup } from "../../core/vocabulary/ids.js";
import { formatPosition } from "../../core/vocabulary/position.js";
import { judgeOffsets, type Offsets } from "../../services/verify/offsets.js";
import { withLog } from "./proposal.js";
import { sourceFile } from "./source.js";
import { directionOf, openWayHome } from "./way-back.js";

export async function readOffsets(settings: Settings, url: Secret, signal: AbortSignal): Promise<Offsets> {
  await using target = await connectTarget({ url, pipeline: settings.pipeline }, signal);
  const groups = await forwardGroups({ url, pipeline: settings.pipeline }, groupsOf(await target.plan(signal)), signal);
  return (await directionOf(settings, { url, groups }, signal)) === "forward"
    ? await forwardOffsets(settings, { target, groups }, signal)
    : await homewardOffsets(settings, { url, group: groups[0]?.id ?? theGroup }, signal);
}

async function forwardOffsets(
  settings: Settings,
  { target, groups }: { readonly target: Target; readonly groups: readonly TableGroup[] },
  signal: AbortSignal,
): Promise<Offsets> {
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

/** What waits in PostgreSQL's log can be measured in bytes alone: it is not counted by table. */
async function homewardOffsets(
  settings: Settings,
  { url, group }: { readonly url: Secret; readonly group: GroupId },
  signal: AbortSignal,
): Promise<Offsets> {
  const { home } = await openWayHome(settings, { url, group }, signal);
  const totals = await home.totals(group, signal);
  const applied = await home.applied(group, signal);
  const log = await withLog(settings, "verify", (store) => readLogEnd(store, backPrefix(settings.prefix, group), signal));
  const head = await newestPosition(url, applied?.position.history ?? 0, signal);
  return judgeOffsets({ head, rowsAbove: null, tables: new Map() }, log, { applied, totals });
}

export const offsetsData = ({ source, log, target, findings }: Offsets): Readonly<Record<string, unknown>> => ({
  source: formatPosition(source.head),
  log: log === null ? null : formatPosition(log.position),
  target: target.applied === null ? null : formatPosition(target.applied.position),
  tables: [...new Set([...source.tables.keys(), ...(source.tables.size === 0 ? target.totals.keys() : [])])].map((table) => ({
    table,
    waiting: source.tables.get(table) ?? null,
    ...target.totals.get(table),
  })),
  findings,
});
