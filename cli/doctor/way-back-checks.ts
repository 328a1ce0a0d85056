/**
 * The way back, before anybody needs it: what of it could not be opened, by name, while nothing depends on it. As long as applications write to the source
 * these are warnings, since a cutover may be made without (`--accept way-back`); once they do not, a way back that is shut is an error.
 */
import { openWayBackDesk } from "../../connectors/postgres/source/desk.js";
import { openSqliteTarget } from "../../connectors/sqlite/target/open-target.js";
import type { WayBackFinding } from "../../core/contracts/cutover.js";
import type { TargetPlan } from "../../core/contracts/plan.js";
import { asTailraceError } from "../../core/errors.js";
import { groupsOf } from "../../core/plan/groups.js";
import type { Settings } from "../../core/settings.js";
import type { GroupId } from "../../core/vocabulary/ids.js";
import { describeTarget } from "../pipeline/places.js";
import { withTarget } from "../pipeline/target.js";
import { directionOf } from "../pipeline/way-back.js";
import { type Check, found, passed } from "./check.js";
import { failed } from "./failed.js";

export async function wayBackChecks(settings: Settings, plan: TargetPlan, signal: AbortSignal): Promise<readonly Check[]> {
  const { source, pipeline } = settings;
  if (source.kind !== "sqlite") return [];
  const where = describeTarget(settings);
  try {
    const checks = await withTarget(settings, signal, async (target, { url }) => {
      // A table that is not there yet is made as ours.
      const groups = groupsOf(await target.plan(signal));
      const needs = new Set<GroupId>();
      for (const group of groups) if ((await directionOf(settings, { url, groups: [group] }, signal)) === "reverse") needs.add(group.id);
      const said: Check[] = [];
      // Those that need it come first: what is an error for them may be a warning for others.
      for (const group of [...groups].sort((a, b) => Number(needs.has(b.id)) - Number(needs.has(a.id)))) {
        // What is the server's is the same for all of them, and said once.
        for (const finding of await openWayBackDesk({ url, pipeline, keptBytesMax: source.log.maxBytes }).findings(
          group.id,
          group.tables,
          signal,
        )) {
          const place = groups.length === 1 ? where : `${where}, group ${group.name}`;
          const check = checkOf(finding, place, needs.has(group.id));
          if (!said.some(({ id, what }) => id === check.id && what === check.what)) said.push(check);
        }
      }
      return said;
    });
    return [...checks, await mappingCheck(settings, plan, signal)];
  } catch (thrown) {
    signal.throwIfAborted();
    // That the target cannot be reached is said by its own check.
    if (asTailraceError(thrown).verdict !== "stop") return [];
    return [failed({ id: "way-back.looked-at", group: "way-back", where }, thrown)];
  }
}

function checkOf({ name, severity, what, fix }: WayBackFinding, where: string, isNeeded: boolean): Check {
  const place = { id: `way-back.${name}`, group: "way-back", where } as const;
  if (severity === "ok") return passed(place, what);
  if (severity !== "error") return found(place, severity, { what, why: "the way back costs this, or depends on it", fix });
  return found(place, isNeeded ? "error" : "warn", {
    what,
    why: isNeeded
      ? "what the application writes to PostgreSQL does not come back to the file"
      : "a cutover could not be taken back: it refuses, unless it is told to go without (`--accept way-back`)",
    fix,
    ...(name === "wal-level" ? { code: "source.no-logical-log" } : {}),
  });
}

/** Whether what PostgreSQL holds can be stored in the file: asked of the file, which is changed by nothing. */
async function mappingCheck(settings: Settings, plan: TargetPlan, signal: AbortSignal): Promise<Check> {
  const { source, pipeline, stateDirectory } = settings;
  const place = { id: "way-back.mapping", group: "way-back", where: source.path } as const;
  try {
    await openSqliteTarget({ path: source.path, pipeline, lockDirectory: stateDirectory }).preview(plan, signal);
    return passed(place, "every column of the plan can be carried back");
  } catch (thrown) {
    signal.throwIfAborted();
    const error = asTailraceError(thrown);
    if (error.code !== "plan.no-way-back") return failed(place, thrown);
    const table = error.where["table"];
    return found({ ...place, where: table === undefined ? source.path : String(table) }, "warn", {
      what: error.message,
      why: "new rows of PostgreSQL could not be stored in the file, so there would be no way back",
      fix: error.remedy,
      code: error.code,
    });
  }
}
