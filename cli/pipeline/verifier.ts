/** The verifier that the settings mean, for as long as a verb needs it. */
import { systemClock } from "../../core/clock.js";
import { TailraceError } from "../../core/errors.js";
import type { Secret } from "../../core/secret.js";
import type { Settings } from "../../core/settings.js";
import { type TableId, tableId } from "../../core/vocabulary/ids.js";
import { openVerifier, refuseAside } from "../../services/verify/main.js";
import type { Verifier } from "../../services/verify/verifier.js";
import { nearest } from "../settings/nearest.js";
import { holdTargetPlace } from "./target.js";

export async function withVerifier<T>(
  settings: Settings,
  stallMs: number,
  work: (verifier: Verifier, url: Secret) => Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  refuseAside(settings);
  await using place = await holdTargetPlace(settings);
  await using verifier = await openVerifier(settings, place.url, { clock: systemClock, stallMs }, signal);
  return await work(verifier, place.url);
}

/** null: every table of the plan. */
export function tablesOf({ plan }: Verifier, name: string | null): readonly TableId[] {
  const all = plan.tables.map(({ source }) => source);
  if (name === null) return all;
  const table = tableId(name);
  if (all.includes(table)) return [table];
  const meant = nearest(name, all);
  throw new TailraceError("usage.refused", {
    what: `The plan has no table '${name}'${meant === null ? "" : `; did you mean '${meant}'?`}`,
  });
}
