/** The offsets of one pipeline, read from the side that follows back to the one that is written to. */
import { connectTarget } from "../../connectors/postgres/connect.js";
import { newestPosition } from "../../connectors/postgres/source/newest.js";
import { readLogEnd } from "../../core/log/log-end.js";
import type { Secret } from "../../core/secret.js";
import type { Settings } from "../../core/settings.js";
import { backPrefix } from "../../core/topics.js";
import { theGroup } from "../../core/vocabulary/ids.js";
import { formatPosition } from "../../core/vocabulary/position.js";
import { judgeOffsets, type Offsets } from "../../services/verify/offsets.js";
import { withLog } from "./proposal.js";
import { sourceFile } from "./source.js";
import { directionOf, openWayHome } from "./way-back.js";

export async function readOffsets(settings: Settings, url: Secret, signal: AbortSignal): Promise<Offsets> {
  return (await directionOf(settings, url, signal)) === "forward"
    ? await forwardOffsets(settings, url, signal)
    : await homewardOffsets(settings, url, signal);
}

async function forwardOffsets(settings: Settings, url: Secret, signal: AbortSignal): Promise<Offsets> {
  await using target = await connectTarget({ url, pipeline: settings.pipeline }, signal);
  const totals = await target.totals(theGroup, signal);
  const applied = await target.applied(theGroup, signal);
  const log = await withLog(settings, "verify", (store) => readLogEnd(store, settings.prefix, signal));
  const source = sourceFile(settings).offsets({ applied: applied?.position ?? null, log: log?.position ?? null });
  return judgeOffsets(source, log, { applied, totals });
}

/** What waits in PostgreSQL's log can be measured in bytes alone: it is not counted by table. */
async function homewardOffsets(settings: Settings, url: Secret, signal: AbortSignal): Promise<Offsets> {
  const { home } = await openWayHome(settings, url, signal);
  const totals = await home.totals(theGroup, signal);
  const applied = await home.applied(theGroup, signal);
  const log = await withLog(settings, "verify", (store) => readLogEnd(store, backPrefix(settings.prefix), signal));
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
