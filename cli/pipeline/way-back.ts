/** The way back as verbs see it: which way changes flow now, and the two ends of the stream home. */
import { openHome } from "../../connectors/duckdb/target/home.js";
import { openDuckDbTarget } from "../../connectors/duckdb/target/open-target.js";
import { readDirection } from "../../connectors/postgres/direction.js";
import { openWayBackDesk } from "../../connectors/postgres/source/desk.js";
import { openSqliteTarget } from "../../connectors/sqlite/target/open-target.js";
import type { WayBackDesk } from "../../core/contracts/cutover.js";
import type { Direction, Target } from "../../core/contracts/target.js";
import { TailraceError } from "../../core/errors.js";
import type { TableGroup } from "../../core/plan/groups.js";
import type { Secret } from "../../core/secret.js";
import type { Settings } from "../../core/settings.js";
import { type GroupId, theGroup } from "../../core/vocabulary/ids.js";

/** Of one group that is asked about. Where there are several, those that stream forward are what is spoken of. */
export async function directionOf(
  { pipeline }: Settings,
  { url, groups }: { readonly url: Secret; readonly groups: readonly TableGroup[] },
  signal: AbortSignal,
): Promise<Direction> {
  const [only, ...others] = groups;
  if (others.length > 0) return "forward";
  return await readDirection({ url, pipeline, group: only?.id ?? theGroup }, signal);
}

export interface WayHomeEnds {
  readonly desk: WayBackDesk;
  /** The file, as what changes come back to. */
  readonly home: Target;
}

/** Rejects with `verify.no-way-back` when changes stay where they are made. */
export async function openWayHome(
  settings: Settings,
  { url, group }: { readonly url: Secret; readonly group: GroupId },
  signal: AbortSignal,
): Promise<WayHomeEnds> {
  const { pipeline, source, stateDirectory } = settings;
  const desk = openWayBackDesk({ url, pipeline });
  if (!(await desk.isOpen(group, signal)))
    throw new TailraceError("verify.no-way-back", {
      what: "Applications write to PostgreSQL, and nothing carries it back",
      where: { pipeline },
    });
  const { path } = source;
  const home =
    source.kind === "sqlite"
      ? openSqliteTarget({ path, pipeline, group, lockDirectory: stateDirectory })
      : openDuckDbTarget({ path, pipeline, stateDirectory, home: () => openHome(path) });
  return { desk, home };
}
