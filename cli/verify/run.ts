/** `verify run`: compares now, says what was found, and what to type next. */
import { systemClock } from "../../core/clock.js";
import type { ChunkProof, TableResult } from "../../core/contracts/verification.js";
import type { TableId } from "../../core/vocabulary/ids.js";
import { formatPosition, type Position } from "../../core/vocabulary/position.js";
import type { Verifier } from "../../services/verify/verifier.js";
import type { Offsets } from "../../services/verify/offsets.js";
import { type RunResult, runVerification } from "../../services/verify/run.js";
import { defaultRowsPerScope } from "../../services/verify/defaults.js";
import type { ExitCode } from "../exit-codes.js";
import type { Invocation } from "../invocation.js";
import { formatCount, formatMs, plural } from "../output/format.js";
import type { Paint } from "../output/output.js";
import { offsetsData, readOffsets } from "../pipeline/offsets.js";
import { tablesOf, withVerifier } from "../pipeline/verifier.js";
import { findingLines, findingsOf, type ShownMismatch } from "./findings.js";
import { differentRows, exitOf, outcomeOf, outcomeText, perSecond, resultTable, sum, tableData } from "./report.js";
import { StripScreen } from "./strip-screen.js";

const defaultStallMs = 30_000;

export async function verifyRun(invocation: Invocation): Promise<ExitCode> {
  const { settings } = await invocation.settings();
  const { options, globals, signal, out } = invocation;
  const samples = options.count("samples", { least: 0, most: 1_000, fallback: 5 });
  return await withVerifier(
    settings,
    globals.timeoutMs ?? defaultStallMs,
    async (verifier, url) => {
      const tables = tablesOf(verifier, options.text("table"));
      invocation.stage("serving");
      const startedMs = systemClock.monotonicMs();
      const result = await runNow(invocation, verifier, tables);
      const ms = systemClock.monotonicMs() - startedMs;
      const table = options.text("table") === null ? null : (tables[0] ?? null);
      const found = await findingsOf(verifier, { table, samples, showValues: options.flag("showValues") }, signal);
      const offsets = await readOffsets(settings, url, signal);
      const rowsOutcome = outcomeOf(result.tables);
      // Rows that are equal by luck, while a hop has lost count, are not proven.
      const outcome = rowsOutcome === "equal" && offsets.findings.length > 0 ? "different" : rowsOutcome;
      const rows = sum(result.tables, (one) => one.rows);
      out.answer({
        kind: "VerifyRun",
        data: {
          pipeline: settings.pipeline,
          run: result.run,
          outcome,
          position: formatPosition(result.proven),
          rows,
          rowsPerSecond: perSecond(rows, ms),
          different: sum(result.tables, differentRows),
          unsettled: sum(result.tables, (one) => one.unsettled),
          ms: Math.round(ms),
          tables: result.tables.map(tableData),
          offsets: offsetsData(offsets),
          samples: found,
        },
        next:
          outcome === "different" ? ["tailrace verify show", "tailrace verify repair"] : outcome === "unsettled" ? ["tailrace status"] : [],
        text: (paint) => reportText({ result, ms, found, offsets }, paint),
      });
      return exitOf(outcome);
    },
    signal,
  );
}

async function runNow({ out, options, signal }: Invocation, verifier: Verifier, tables: readonly TableId[]): Promise<RunResult> {
  const { sides, store, requests, plan } = verifier;
  const screen = new StripScreen(out, options.flag("watch"));
  const whole = tables.length === plan.tables.length;
  const onChunk = (proof: ChunkProof): void => screen.chunk(proof);
  const onProgress = (results: readonly TableResult[]): void => screen.show(results);
  try {
    return await runVerification(
      {
        sides,
        store,
        requests,
        tables,
        whole,
        kind: "demand",
        holdName: "verify-once",
        rowsPerScope: defaultRowsPerScope,
        since: null,
        resume: null,
        pace: () => Promise.resolve(),
        onChunk,
        onProgress,
      },
      signal,
    );
  } finally {
    screen.leave();
  }
}

function offsetsLine({ source, log, target, findings }: Offsets, paint: Paint): string {
  const at = (end: { readonly position: Position } | null): string => (end === null ? "-" : formatPosition(end.position));
  const line = `  ${paint.dim("offsets")} source ${formatPosition(source.head)}   log ${at(log)}   target ${at(target.applied)}`;
  return [line, ...findings.map((finding) => `  ${paint.red("does not add up:")} ${finding}`)].join("\n");
}

interface Report {
  readonly result: RunResult;
  readonly ms: number;
  readonly found: readonly ShownMismatch[];
  readonly offsets: Offsets;
}

function reportText({ result, ms, found, offsets }: Report, paint: Paint): string {
  const { tables, proven, run } = result;
  const outcome = outcomeOf(tables);
  const rows = sum(tables, (one) => one.rows);
  const different = sum(tables, differentRows) + sum(tables, (one) => one.unsettled);
  const more =
    different > found.length ? [paint.dim(`  and ${formatCount(different - found.length)} more (tailrace verify show --samples 100)`)] : [];
  return [
    `${outcomeText(outcome, paint)} as of position ${formatPosition(proven)}  ${paint.dim(`run ${run}`)}`,
    `  ${plural(rows, "row")} of ${plural(tables.length, "table")} compared in ${formatMs(ms)}, ${formatCount(perSecond(rows, ms))} rows/s`,
    offsetsLine(offsets, paint),
    resultTable(tables, paint),
    ...findingLines(found, paint),
    ...more,
  ].join("\n");
}
