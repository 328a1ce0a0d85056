/** `verify run`: compares now, says what was found, and what to type next. */
import { systemClock } from "../../core/clock.js";
import type { ChunkProof, TableResult } from "../../core/contracts/verification.js";
import type { TableId } from "../../core/vocabulary/ids.js";
import { formatPosition } from "../../core/vocabulary/position.js";
import type { Verifier } from "../../services/verify/main.js";
import { type RunResult, runVerification } from "../../services/verify/run.js";
import { defaultRowsPerScope } from "../../services/verify/defaults.js";
import type { ExitCode } from "../exit-codes.js";
import type { Invocation } from "../invocation.js";
import { formatCount, formatMs, plural } from "../output/format.js";
import type { Paint } from "../output/output.js";
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
    async (verifier) => {
      const tables = tablesOf(verifier, options.text("table"));
      invocation.stage("serving");
      const startedMs = systemClock.monotonicMs();
      const result = await runNow(invocation, verifier, tables);
      const ms = systemClock.monotonicMs() - startedMs;
      const table = options.text("table") === null ? null : (tables[0] ?? null);
      const found = await findingsOf(verifier, { table, samples, showValues: options.flag("showValues") }, signal);
      const outcome = outcomeOf(result.tables);
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
          samples: found,
        },
        next:
          outcome === "different" ? ["tailrace verify show", "tailrace verify repair"] : outcome === "unsettled" ? ["tailrace status"] : [],
        text: (paint) => reportText({ result, ms, found }, paint),
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

interface Report {
  readonly result: RunResult;
  readonly ms: number;
  readonly found: readonly ShownMismatch[];
}

function reportText({ result, ms, found }: Report, paint: Paint): string {
  const { tables, proven, run } = result;
  const outcome = outcomeOf(tables);
  const rows = sum(tables, (one) => one.rows);
  const different = sum(tables, differentRows) + sum(tables, (one) => one.unsettled);
  const more =
    different > found.length ? [paint.dim(`  and ${formatCount(different - found.length)} more (tailrace verify show --samples 100)`)] : [];
  return [
    `${outcomeText(outcome, paint)} as of position ${formatPosition(proven)}  ${paint.dim(`run ${run}`)}`,
    `  ${plural(rows, "row")} of ${plural(tables.length, "table")} compared in ${formatMs(ms)}, ${formatCount(perSecond(rows, ms))} rows/s`,
    resultTable(tables, paint),
    ...findingLines(found, paint),
    ...more,
  ].join("\n");
}
