import { randomUUID } from "node:crypto";
import { TailraceError } from "../../core/errors.js";
import { rereadId, type TableId, tableId } from "../../core/vocabulary/ids.js";
import { exits } from "../exit-codes.js";
import { usage, type Verb } from "../invocation.js";
import { plural } from "../output/format.js";
import { capturedTables, openRequests } from "../pipeline/source.js";
import { nearest } from "../settings/nearest.js";

export const verb: Verb = async (invocation) => {
  const { settings } = await invocation.settings();
  const all = invocation.options.flag("all");
  const anew = invocation.options.flag("anew");
  if (all === invocation.words.length > 0) throw usage("snapshot wants table names, or --all");
  if (anew && !all) throw usage("snapshot --anew goes with --all: it begins the whole capture log again");
  const captured = capturedTables(settings);
  const tables = all ? captured : invocation.words.map((name) => known(name, captured));
  const reread = rereadId(randomUUID());
  using requests = openRequests(settings);
  if (anew) await requests.beginAnew();
  else await requests.reread(all ? null : tables, reread);
  invocation.out.answer({
    kind: "Snapshot",
    data: { pipeline: settings.pipeline, reread, tables, anew },
    next: ["tailrace status --watch", "tailrace wait caught-up"],
    text: () => `asked for: ${plural(tables.length, "table")} will be copied again (${tables.join(", ")}), while everything goes on`,
  });
  return exits.done;
};

function known(name: string, captured: readonly TableId[]): TableId {
  const table = tableId(name);
  if (captured.includes(table)) return table;
  const meant = nearest(name, captured);
  throw new TailraceError("usage.refused", {
    what: `There is no captured table '${name}'${meant === null ? "" : `; did you mean '${meant}'?`}`,
  });
}
