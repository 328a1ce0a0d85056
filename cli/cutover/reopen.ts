/** `cutover reopen`: a way back that was lost is opened anew, and the file is told what it has missed. */
import { isShut } from "../../core/way-back-errors.js";
import { openWayBackDesk } from "../../connectors/postgres/source/desk.js";
import { TailraceError } from "../../core/errors.js";
import type { ToldTable } from "../../services/cutover/tell-again.js";
import { reopenWayBack } from "../../services/cutover/reopen.js";
import { type ExitCode, exits } from "../exit-codes.js";
import type { Invocation } from "../invocation.js";
import { formatCount, plural } from "../output/format.js";
import type { Paint } from "../output/output.js";
import { cell, renderTable } from "../output/table.js";
import { observe } from "../pipeline/observe.js";
import { type CutoverWork, lineFor, withCutover } from "./open.js";

export async function reopen(invocation: Invocation): Promise<ExitCode> {
  return await withCutover(
    invocation,
    () => {},
    async (open) => {
      const { parts, settings, plan } = open;
      const { out, signal } = invocation;
      await refuseSound(invocation, open);
      const tables = plan.tables.map(({ source }) => source);
      const { begins, tables: told } = await reopenWayBack(
        parts,
        { tables, say: (what) => out.note(what), onChanging: () => invocation.stage("changing") },
        signal,
      );
      out.answer({
        kind: "CutoverReopen",
        data: { pipeline: settings.pipeline, begins, told: sumOf(told), tables: told },
        next: [...(settings.source.kind === "duckdb" ? [] : ["tailrace verify run"]), lineFor(open, "tailrace rollback plan")],
        text: (paint) => [`the way back is open again, from ${begins} on`, ...toldLines(told, paint)].join("\n"),
      });
      return exits.done;
    },
  );
}

export const sumOf = (tables: readonly ToldTable[]): number => tables.reduce((sum, { told }) => sum + told, 0);

export function toldLines(tables: readonly ToldTable[], paint: Paint): readonly string[] {
  const rows = tables.map(({ table, rows: all, told }) => [cell(table), formatCount(all), formatCount(told)]);
  const columns = [{ title: "TABLE" }, { title: "ROWS", right: true }, { title: "TOLD AGAIN", right: true }];
  return [`${plural(sumOf(tables), "row")} that differed told again as PostgreSQL has them`, renderTable(columns, rows, paint)];
}

/** What is not carried back yet comes home by itself while the way back is whole; opened anew, all of it has to be looked for. */
async function refuseSound({ globals, signal }: Invocation, { settings, parts: { group }, plan, url }: CutoverWork): Promise<void> {
  if (globals.yes) return;
  const desk = openWayBackDesk({ url, pipeline: settings.pipeline });
  if (!(await desk.isOpen(group, signal))) return;
  const findings = await desk.findings(group, plan.tables, signal);
  if (findings.some(({ name, severity }) => name === "slot" && severity === "error")) return;
  const reverse = (await observe(settings, signal)).services.find(({ service }) => service === "reverse");
  if (isShut(reverse?.groups?.find(({ id }) => id === group)?.code ?? reverse?.code ?? null)) return;
  throw new TailraceError("cutover.refused", {
    what: "Nothing says that the way back is broken. Start `tailrace run reverse`, if it does not run; `--yes` opens it anew all the same",
  });
}
