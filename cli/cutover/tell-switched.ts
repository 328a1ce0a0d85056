/** Tables of groups that were switched over: PostgreSQL has them, so a copy of one goes the other way, into the file. */
import { sidesOf } from "../../connectors/postgres/cutover/forward-groups.js";
import { openWayBackDesk } from "../../connectors/postgres/source/desk.js";
import { TailraceError } from "../../core/errors.js";
import { groupsOf } from "../../core/plan/groups.js";
import type { Settings } from "../../core/settings.js";
import type { GroupId, TableId } from "../../core/vocabulary/ids.js";
import { toldAgain } from "../../services/cutover/reopen.js";
import type { ToldTable } from "../../services/cutover/tell-again.js";
import type { Invocation } from "../invocation.js";
import { withTarget } from "../pipeline/target.js";
import { withCutoverOf } from "./open.js";

export interface SwitchedGroup {
  readonly id: GroupId;
  readonly name: string;
  readonly tables: readonly TableId[];
}

export async function switchedGroups(settings: Settings, signal: AbortSignal): Promise<readonly SwitchedGroup[]> {
  return await withTarget(settings, signal, async (target, { url }) => {
    const groups = groupsOf(await target.plan(signal));
    const sides = await sidesOf({ url, pipeline: settings.pipeline }, groups, signal);
    return groups
      .filter(({ id }) => sides.get(id) === "target")
      .map(({ id, name, tables }) => ({ id, name, tables: tables.map(({ source }) => source) }));
  });
}

export async function tellSwitchedAgain(
  invocation: Invocation,
  { id, name }: SwitchedGroup,
  tables: readonly TableId[],
): Promise<readonly ToldTable[]> {
  const { settings } = await invocation.settings();
  const { signal, out } = invocation;
  const groupOf: Parameters<typeof withCutoverOf>[0]["groupOf"] = (plan) =>
    groupsOf(plan).find((group) => group.id === id) ?? { id, name, tables: [] };
  return await withCutoverOf({ settings, limits: {}, tell: () => {}, wayBack: true, groupOf }, signal, async ({ parts, url }) => {
    if (!(await openWayBackDesk({ url, pipeline: settings.pipeline }).isOpen(id, signal))) {
      throw new TailraceError("cutover.ahead", {
        what: "Applications write to PostgreSQL, so these tables are copied from there; but no way back is open",
        where: { group: name },
      });
    }
    return await toldAgain(parts, { tables, say: (what) => out.note(what) }, signal);
  });
}
