/** A pipeline's view as lines for a terminal of 80 columns or more. */
import { printable } from "../../core/errors.js";
import { formatBytes, formatCount, formatMs, plural } from "../output/format.js";
import type { Paint } from "../output/output.js";
import { cell, renderTable } from "../output/table.js";
import { groupLines } from "./group-view.js";
import { captureLogLine } from "./capture-log-text.js";
import type { Pace } from "./pace.js";
import { isIdleWayBack, type PipelineState, type PipelineView, type ServiceView, type TableView } from "./pipeline-view.js";

/** What a single look cannot know, and somebody who keeps looking can. */
export interface Paces {
  readonly changes: Pace | null;
  readonly snapshot: Pace | null;
}
const noPaces: Paces = { changes: null, snapshot: null };

export function renderView(view: PipelineView, paint: Paint, paces: Paces = noPaces): string {
  return [
    headLine(view, paint),
    ...view.services.filter((service) => !isIdleWayBack(service)).map((service) => serviceLine(service, paint)),
    positionLine(view, paint),
    behindLine(view, paint, paces.changes),
    ...captureLogLines(view, paint),
    ...lookLines(view, paint),
    ...wayBackLines(view, paint),
    ...verificationLines(view, paint),
    ...snapshotLines(view, paint, paces.snapshot),
    ...tableLines(view, paint),
    ...groupLines(view.groups ?? [], paint),
    ...view.needsPerson.map((sentence) => `${paint.red("needs a person:")} ${printable(sentence)}`),
  ].join("\n");
}

const colours: Readonly<Record<PipelineState, keyof Paint>> = {
  running: "green",
  snapshot: "cyan",
  paused: "yellow",
  degraded: "yellow",
  switched: "green",
  stopped: "red",
  down: "red",
};

function headLine(view: PipelineView, paint: Paint): string {
  const says = view.direction === "reverse" ? "applications write to PostgreSQL" : view.phase === null ? null : `phase ${view.phase}`;
  return `${paint.bold(view.pipeline)}  ${paint[colours[view.state]](view.state.toUpperCase())}${says === null ? "" : paint.dim(`  ${says}`)}`;
}

function serviceLine({ service, state, why, attempt, sinceMs }: ServiceView, paint: Paint): string {
  const dot = state === "running" ? paint.green("●") : state === "stopped" || state === "unreachable" ? paint.red("●") : paint.yellow("●");
  const since = sinceMs === null ? "" : paint.dim(` for ${formatMs(sinceMs)}`);
  const again = attempt === null ? "" : ` attempt ${attempt.n}, next in ${formatMs(attempt.nextInMs)};`;
  return `  ${dot} ${service.padEnd(7)} ${state}${since}${again}${why === null ? "" : `  ${printable(why)}`}`;
}

function positionLine({ positions, direction }: PipelineView, paint: Paint): string {
  const { head, log, applied } = positions;
  if (direction === "reverse") return `  ${paint.dim("position")}  target ${head ?? "-"}   log ${log ?? "-"}   source ${applied ?? "-"}`;
  return `  ${paint.dim("position")}  source ${head ?? "-"}   log ${log ?? "-"}   target ${applied ?? "-"}`;
}

function behindLine({ behind }: PipelineView, paint: Paint, pace: Pace | null): string {
  const parts = [`${formatCount(behind.changes)} changes`, formatMs(behind.ms)];
  if (pace?.perSecond !== null && pace !== null) parts.push(`${formatCount(pace.perSecond)}/s`);
  return `  ${paint.dim("behind")}    ${parts.join("   ")}${behind.why === null ? "" : paint.dim(`   (- : ${printable(behind.why)})`)}`;
}

/** Where the delay of a source that looks in cycles comes from. */
function lookLines({ lastLook }: PipelineView, paint: Paint): readonly string[] {
  if (lastLook === null) return [];
  const { copyMs, copyTier, copyAttempts, compareMs, rowsCompared, changes } = lastLook;
  const tries = copyAttempts > 1 ? `, ${plural(copyAttempts, "attempt")}` : "";
  const text = `copy ${formatMs(copyMs)} (${copyTier}${tries})   compare ${formatMs(compareMs)} (${plural(rowsCompared, "row")})   ${plural(changes, "change")}`;
  return [`  ${paint.dim("last look")} ${text}`];
}

/** While it is small it is nobody's business. */
function captureLogLines({ captureLog }: PipelineView, paint: Paint): readonly string[] {
  if (captureLog === null || (captureLog.alarm === null && !captureLog.forgotten && captureLog.bytes < captureLog.maxBytes / 4)) return [];
  return [`  ${paint.dim("capture")}   ${captureLogLine(captureLog)}`];
}

/** While it carries nothing of the application's; later its figures are the pipeline's. */
function wayBackLines({ wayBack, direction }: PipelineView, paint: Paint): readonly string[] {
  if (wayBack === null) return [];
  if (direction === "reverse")
    return wayBack.captureLog === null
      ? []
      : [
          `  ${paint.dim("kept log")}  ${formatBytes(wayBack.captureLog.bytes)} of PostgreSQL's log, oldest ${formatMs(wayBack.captureLog.ms)}`,
        ];
  const { applied, behind } = wayBack;
  const why = behind.why === null ? "" : paint.dim(`   (- : ${printable(behind.why)})`);
  return [
    `  ${paint.dim("way back")}  source at ${applied ?? "-"}   behind ${formatCount(behind.changes)} changes   ${formatMs(behind.ms)}${why}`,
  ];
}

function verificationLines({ verification }: PipelineView, paint: Paint): readonly string[] {
  if (verification === null) return [];
  const { provenAt, oldestMs, mismatches } = verification;
  const rows = mismatches === 0 ? "no row differs" : paint.red(`${formatCount(mismatches)} rows differ`);
  const proof =
    provenAt === null ? "no run has compared every table yet" : `proven as of ${provenAt}   oldest range ${formatMs(oldestMs)} ago`;
  return [`  ${paint.dim("verified")}  ${proof}   ${rows}`];
}

function snapshotLines(view: PipelineView, paint: Paint, pace: Pace | null): readonly string[] {
  const sums = snapshotSums(view.tables);
  if (sums === null) return [];
  const { read, total } = sums;
  const share = total === null || total === 0 ? null : Math.min(1, read / total);
  const parts = [`${formatCount(read)}${total === null ? "" : ` of about ${formatCount(total)}`} rows`];
  if (pace?.perSecond !== null && pace !== null) parts.push(`${formatCount(pace.perSecond)} rows/s`);
  if (pace?.eta !== null && pace !== null) parts.push(`done in ${formatMs(pace.eta.leastMs)} to ${formatMs(pace.eta.mostMs)}`);
  return [`  ${paint.dim("snapshot")}  ${share === null ? "" : `${bar(share, paint)} `}${parts.join("   ")}`];
}

/** Null when nothing is being read. */
export function snapshotSums(tables: readonly TableView[]): { readonly read: number; readonly total: number | null } | null {
  const reading = tables.filter(({ rowsRead }) => rowsRead !== null);
  if (reading.length === 0 || reading.every(({ phase }) => phase === "streaming")) return null;
  const total = reading.reduce<number | null>(
    (sum, table) => (sum === null || table.rowsEstimated === null ? null : sum + Math.max(table.rowsEstimated, table.rowsRead ?? 0)),
    0,
  );
  return { read: reading.reduce((sum, table) => sum + (table.rowsRead ?? 0), 0), total };
}

export function bar(share: number, paint: Paint, width = 20): string {
  const full = Math.round(share * width);
  return `${paint.cyan("█".repeat(full))}${paint.dim("░".repeat(width - full))} ${String(Math.floor(share * 100)).padStart(3)} %`;
}

const tablesMost = 20;

function tableLines(view: PipelineView, paint: Paint): readonly string[] {
  if (view.tables.length === 0) return [];
  const shown = view.tables.slice(0, tablesMost);
  const rows = shown.map((table) => [
    cell(table.table),
    cell(table.target ?? "-"),
    table.phase ?? "-",
    table.rowsRead === null ? "-" : `${formatCount(table.rowsRead)}/${formatCount(table.rowsEstimated)}`,
    formatCount(table.taken),
    formatCount(table.applied),
  ]);
  const columns = [
    { title: "TABLE" },
    { title: "TARGET" },
    { title: "PHASE" },
    { title: "COPIED", right: true },
    { title: "TAKEN", right: true },
    { title: "APPLIED", right: true },
  ];
  const rest = view.tables.length - shown.length;
  return [renderTable(columns, rows, paint), ...(rest > 0 ? [paint.dim(`and ${rest} more tables (-o json lists all)`)] : [])];
}
