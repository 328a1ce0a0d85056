/** The offsets of one pipeline, read from the target back to the source. */
import { connectTarget } from "../../connectors/postgres/connect.js";
import { readLogEnd } from "../../core/log/log-end.js";
import type { Secret } from "../../core/secret.js";
import type { Settings } from "../../core/settings.js";
import { theGroup } from "../../core/vocabulary/ids.js";
import { formatPosition } from "../../core/vocabulary/position.js";
import { judgeOffsets, type Offsets } from "../../services/verify/offsets.js";
import { withLog } from "./proposal.js";
import { sourceFile } from "./source.js";

export async function readOffsets(settings: Settings, url: Secret, signal: AbortSignal): Promise<Offsets> {
  await using target = await connectTarget({ url, pipeline: settings.pipeline }, signal);
  const totals = await target.totals(theGroup, signal);
  const applied = await target.applied(theGroup, signal);
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
