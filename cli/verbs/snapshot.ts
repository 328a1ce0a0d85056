import { randomUUID } from "node:crypto";
import { TailraceError } from "../../core/errors.js";
import { type RereadId, rereadId, type TableId, tableId } from "../../core/vocabulary/ids.js";
import type { ToldTable } from "../../services/cutover/tell-again.js";
import { sumOf, toldLines } from "../cutover/reopen.js";
import { type SwitchedGroup, switchedGroups, tellSwitchedAgain } from "../cutover/tell-switched.js";
import { exits } from "../exit-codes.js";
import { type Invocation, usage, type Verb } from "../invocation.js";
import { plural } from "../output/format.js";
import { capturedTables, isFencedOff, openRequests } from "../pipeline/source.js";
import { nearest } from "../settings/nearest.js";

export const verb: Verb = async (invocation) => {
  const { settings } = await invocation.settings();
  const { options, words, signal } = invocation;
  const all = options.flag("all");
  const anew = options.flag("anew");
  if (all === words.length > 0) throw usage("snapshot wants table names, or --all");
  if (anew && !all) throw usage("snapshot --anew goes with --all: it begins the whole capture log again");
  const captured = capturedTables(settings);
  const tables = all ? captured : words.map((name) => known(name, captured));
  // Whoever is not fenced off was not switched over, whatever PostgreSQL's answer would be.
  const switched = isFencedOff(settings) ? await switchedGroups(settings, signal) : [];
  if (anew && switched.length > 0) {
    throw new TailraceError("cutover.ahead", { what: "The capture log is not begun anew while an application writes to PostgreSQL" });
  }
  const ahead = new Set(switched.flatMap((group) => group.tables));
  const forward = tables.filter((table) => !ahead.has(table));
  const reread = rereadId(randomUUID());
  if (forward.length > 0) {
    using requests = openRequests(settings);
    if (anew) await requests.beginAnew();
    else await requests.reread(all && switched.length === 0 ? null : forward, reread);
  }
  const told = await toldOf(invocation, switched, tables);
  answer(invocation, { pipeline: settings.pipeline, reread, tables, forward, anew, told });
  return exits.done;
};

async function toldOf(
  invocation: Invocation,
  switched: readonly SwitchedGroup[],
  wanted: readonly TableId[],
): Promise<readonly ToldTable[] | null> {
  if (switched.length === 0) return null;
  const told: ToldTable[] = [];
  for (const group of switched) {
    const tables = group.tables.filter((table) => wanted.includes(table));
    if (tables.length > 0) told.push(...(await tellSwitchedAgain(invocation, group, tables)));
  }
  return told;
}

interface Answer {
  readonly pipeline: string;
  readonly reread: RereadId;
  readonly tables: readonly TableId[];
  readonly forward: readonly TableId[];
  readonly anew: boolean;
  /** null: no group was switched over. */
  readonly told: readonly ToldTable[] | null;
}

function answer({ out }: Invocation, { pipeline, reread, tables, forward, anew, told }: Answer): void {
  const asked = `asked for: ${plural(forward.length, "table")} will be copied again (${forward.join(", ")}), while everything goes on`;
  out.answer({
    kind: "Snapshot",
    data: { pipeline, reread, tables, anew, ...(told === null ? {} : { told: sumOf(told) }) },
    next: [...(forward.length > 0 ? ["tailrace status --watch"] : []), "tailrace wait caught-up"],
    text: (paint) => [...(forward.length > 0 ? [asked] : []), ...(told === null ? [] : toldLines(told, paint))].join("\n"),
  });
}

function known(name: string, captured: readonly TableId[]): TableId {
  const table = tableId(name);
  if (captured.includes(table)) return table;
  const meant = nearest(name, captured);
  throw new TailraceError("usage.refused", {
    what: `There is no captured table '${name}'${meant === null ? "" : `; did you mean '${meant}'?`}`,
  });
}
