/** `verify repair`: asks for every row that differs to be told again, waits for the target, and compares these rows once more. */
import { systemClock } from "../../core/clock.js";
import { repair, type RepairResult } from "../../services/verify/repair.js";
import { type ExitCode, exits } from "../exit-codes.js";
import type { Invocation } from "../invocation.js";
import { formatCount, formatMs, plural } from "../output/format.js";
import type { Paint } from "../output/output.js";
import { cell, renderTable } from "../output/table.js";
import { tablesOf, withVerifier } from "../pipeline/verifier.js";

const defaultStallMs = 30_000;

export async function verifyRepair(invocation: Invocation): Promise<ExitCode> {
  const { settings } = await invocation.settings();
  const { options, globals, signal, out } = invocation;
  return await withVerifier(
    settings,
    globals.timeoutMs ?? defaultStallMs,
    async (verifier) => {
      const name = options.text("table");
      const [only] = tablesOf(verifier, name);
      const table = name === null ? null : (only ?? null);
      const { sides, store, repairs } = verifier;
      const startedMs = systemClock.monotonicMs();
      const result = await repair({ sides, store, repairs, table, onAsking: () => invocation.stage("changing") }, signal);
      const ms = systemClock.monotonicMs() - startedMs;
      const count = (of: "asked" | "equal" | "different" | "waiting"): number => result.tables.reduce((total, one) => total + one[of], 0);
      const counts = { asked: count("asked"), equal: count("equal"), different: count("different"), waiting: count("waiting") };
      out.answer({
        kind: "VerifyRepair",
        data: { pipeline: settings.pipeline, ...counts, ms: Math.round(ms), why: result.why, tables: result.tables },
        next: nextOf(counts),
        text: (paint) => repairText(result, counts, ms, paint),
      });
      if (counts.different > 0) return exits.differ;
      return counts.waiting > 0 ? exits.halfWay : exits.done;
    },
    signal,
  );
}

interface Counts {
  readonly asked: number;
  readonly equal: number;
  readonly different: number;
  readonly waiting: number;
}

function nextOf({ asked, different, waiting }: Counts): readonly string[] {
  if (waiting > 0) return ["tailrace status", "tailrace verify repair"];
  if (different > 0) return ["tailrace verify show"];
  return asked > 0 ? ["tailrace verify run"] : [];
}

function repairText({ tables, why }: RepairResult, counts: Counts, ms: number, paint: Paint): string {
  if (counts.asked === 0) return "no row is on record as differing; nothing was asked for";
  const rows = tables.map((one) => [
    cell(one.table),
    formatCount(one.asked),
    formatCount(one.equal),
    formatCount(one.different),
    formatCount(one.waiting),
  ]);
  const columns = ["ASKED", "EQUAL", "DIFFERENT", "WAITING"].map((title) => ({ title, right: true }));
  const head =
    why === null
      ? `${plural(counts.asked, "row")} told again through the log, ${formatCount(counts.equal)} equal now, in ${formatMs(ms)}`
      : `${plural(counts.asked, "row")} asked for; not compared again: ${why}`;
  return [
    counts.equal === counts.asked ? paint.green(head) : paint.yellow(head),
    renderTable([{ title: "TABLE" }, ...columns], rows, paint),
  ].join("\n");
}
