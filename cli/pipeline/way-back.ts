/** The way back as verbs see it: which way changes flow now, and the two ends of the stream home. */
import { readDirection } from "../../connectors/postgres/direction.js";
import { openWayBackDesk } from "../../connectors/postgres/source/desk.js";
import { openSqliteTarget } from "../../connectors/sqlite/target/open-target.js";
import type { WayBackDesk } from "../../core/contracts/cutover.js";
import type { Direction, Target } from "../../core/contracts/target.js";
import { TailraceError } from "../../core/errors.js";
import type { Secret } from "../../core/secret.js";
import type { Settings } from "../../core/settings.js";
import { theGroup } from "../../core/vocabulary/ids.js";

export const directionOf = ({ pipeline }: Settings, url: Secret, signal: AbortSignal): Promise<Direction> =>
  readDirection({ url, pipeline, group: theGroup }, signal);

export interface WayHomeEnds {
  readonly desk: WayBackDesk;
  /** The file, as what changes come back to. */
  readonly home: Target;
}

/** Rejects with `verify.no-way-back` when changes stay where they are made. */
export async function openWayHome(settings: Settings, url: Secret, signal: AbortSignal): Promise<WayHomeEnds> {
  const { pipeline, source, stateDirectory } = settings;
  const desk = openWayBackDesk({ url, pipeline });
  if (source.kind !== "sqlite" || !(await desk.isOpen(theGroup, signal)))
    throw new TailraceError("verify.no-way-back", {
      what: "Applications write to PostgreSQL, and nothing carries it back",
      where: { pipeline },
    });
  return { desk, home: openSqliteTarget({ path: source.path, pipeline, lockDirectory: stateDirectory }) };
}
