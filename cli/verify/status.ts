/** `verify status`: what was compared when, with what result, and how far the proof is kept up. */
import { systemClock } from "../../core/clock.js";
import type { ProofState, RunRecord, StoredChunk } from "../../core/contracts/verification.js";
import { printable } from "../../core/errors.js";
import { formatPosition } from "../../core/vocabulary/position.js";
import { newestProof } from "../../services/verify/proof.js";
import type { Verifier } from "../../services/verify/verifier.js";
import { createLogUpdate } from "log-update";
import { type ExitCode, exits } from "../exit-codes.js";
import type { Invocation } from "../invocation.js";
import { formatCount, formatMs } from "../output/format.js";
import type { Paint } from "../output/output.js";
import { withVerifier } from "../pipeline/verifier.js";
import { heatStrip, legend } from "./heat-strip.js";
import { outcomeOf, outcomeText, resultTable, tableData } from "./report.js";

const stallMs = 1_000;

interface Seen {
  /** Newest of all; null: there was none. */
  readonly run: RunRecord | null;
  readonly chunks: readonly StoredChunk[];
  readonly proof: RunRecord | null;
  /** How old the oldest range of the proof is. */
  readonly oldestMs: number | null;
  readonly open: number;
}

export async function verifyStatus(invocation: Invocation): Promise<ExitCode> {
  const { settings } = await invocation.settings();
  const { options, signal, out } = invocation;
  return await withVerifier(
    settings,
    stallMs,
    async (verifier) => {
      if (options.flag("watch") && out.format === "table") return await watch(verifier, invocation);
      const seen = await look(verifier, signal);
      out.answer({
        kind: "VerifyStatus",
        data: { pipeline: settings.pipeline, ...dataOf(seen) },
        next: seen.run === null ? ["tailrace verify run"] : seen.open > 0 ? ["tailrace verify show", "tailrace verify repair"] : [],
        text: (paint) => statusText(seen, paint),
      });
      return seen.open > 0 ? exits.differ : exits.done;
    },
    signal,
  );
}

async function watch(verifier: Verifier, { out, signal }: Invocation): Promise<ExitCode> {
  const update = out.streams.stdout.isTTY === true ? createLogUpdate(out.streams.stdout as NodeJS.WriteStream) : null;
  try {
    while (!signal.aborted) {
      const text = statusText(await look(verifier, signal), out.paint);
      if (update === null) out.streams.stdout.write(`${text}\n`);
      else update(text);
      await systemClock.delay(1_000, signal);
    }
  } catch (thrown) {
    if (!signal.aborted) throw thrown;
  } finally {
    update?.done();
  }
  return exits.done;
}

async function look({ store, plan }: Verifier, signal: AbortSignal): Promise<Seen> {
  const [run = null] = await store.runs(1, signal);
  const proof = await newestProof({ store, tables: plan.tables.map(({ source }) => source) }, signal);
  const chunks = run === null ? [] : await store.chunks(run.run, signal);
  const proven = proof === null ? [] : proof.run === run?.run ? chunks : await store.chunks(proof.run, signal);
  const oldestMs = proven.length === 0 ? null : Math.max(...proven.map(({ ageMs }) => ageMs));
  const open = (await store.mismatches({ table: null, limit: 100_000 }, signal)).length;
  return { run, chunks, proof, oldestMs, open };
}

function dataOf({ run, proof, oldestMs, open }: Seen): Readonly<Record<string, unknown>> {
  const recordOf = (record: RunRecord | null): unknown =>
    record === null
      ? null
      : {
          run: record.run,
          kind: record.kind,
          state: record.state,
          whole: record.whole,
          outcome: outcomeOf(record.tables),
          position: formatPosition(record.proven),
          startedAt: new Date(record.startedMs).toISOString(),
          endedAt: record.endedMs === null ? null : new Date(record.endedMs).toISOString(),
          error: record.error,
          tables: record.tables.map(tableData),
        };
  return {
    newest: recordOf(run),
    proof: recordOf(proof),
    oldestRangeMs: oldestMs === null ? null : Math.round(oldestMs),
    openMismatches: open,
  };
}

function statusText({ run, chunks, proof, oldestMs, open }: Seen, paint: Paint): string {
  if (run === null) return "nothing was compared yet";
  const proven =
    proof === null
      ? paint.yellow("  no run has compared every table to its end")
      : `  every table compared as of ${formatPosition(proof.proven)} (run ${proof.run}), oldest range read ${formatMs(oldestMs)} ago`;
  return [
    `run ${run.run} ${run.kind} ${run.state}  ${outcomeText(outcomeOf(run.tables), paint)} as of ${formatPosition(run.proven)}`,
    proven,
    `  ${open === 0 ? "no row" : paint.red(`${formatCount(open)} rows`)} on record as differing${run.error === null ? "" : `  ${printable(run.error)}`}`,
    resultTable(run.tables, paint),
    ...strips(run, chunks, paint),
  ].join("\n");
}

function strips(run: RunRecord, chunks: readonly StoredChunk[], paint: Paint): readonly string[] {
  if (chunks.length === 0) return [];
  const width = Math.min(24, Math.max(...run.tables.map(({ table }) => table.length)));
  const lines = run.tables.map(({ table, state }) => {
    const states = chunks.filter((chunk) => chunk.table === table).map((chunk): ProofState => chunk.state);
    return `  ${printable(table).slice(0, width).padEnd(width)} ${heatStrip(states, state === "done" ? states.length : states.length + 1, paint)}`;
  });
  return [...lines, `  ${legend(paint)}`];
}
