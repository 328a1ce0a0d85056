/**
 * One pipeline as its operator sees it, made of what the services and the two databases say. Pure. Never an invented number: what is not
 * known is null, with the reason beside it.
 */
import type { Known, Lag, LookFigures, RereadProgress } from "../../core/contracts/source.js";
import type { Direction } from "../../core/contracts/target.js";
import type { CaptureLogStatus, ServiceName, ServiceState, ServiceStatus } from "../../core/status.js";
import { isShut } from "../../core/way-back-errors.js";
import { formatPosition } from "../../core/vocabulary/position.js";
import { unreachable } from "../../core/vocabulary/unreachable.js";
import {
  distanceOf,
  type GroupFactsView,
  type GroupLoopView,
  type GroupView,
  groupViews,
  loopsOf,
  loopView,
  valueOf,
} from "./group-view.js";
import { alarmSentence, forgottenSentence, slotAlarmSentence } from "./capture-log-text.js";

/** What somebody said, or why nobody did. */
export type Heard<T> = { readonly kind: "heard"; readonly value: T } | { readonly kind: "silent"; readonly why: string };

export interface Observed {
  readonly pipeline: string;
  readonly source: Heard<ServiceStatus>;
  readonly sink: Heard<ServiceStatus>;
  /** null: it does not run here, or nobody asked. */
  readonly verify: Heard<ServiceStatus> | null;
  /** What carries changes back; null: nothing can, or nobody asked. */
  readonly reverse?: Heard<ServiceStatus> | null;
  /** What the target has on record; null: nobody looked. */
  readonly verification?: VerificationView | null;
  /** Read from the target itself. */
  readonly target: Heard<TargetFacts>;
  /** Read from the source file itself, when the source service is silent; null when nobody looked. */
  readonly file: Heard<FileFacts> | null;
}
export interface FileFacts extends Lag {
  readonly captureLog: CaptureLogStatus | null;
  /** Of each group, where there are several. */
  readonly groups?: ReadonlyMap<number, Lag>;
}
export interface TargetFacts {
  /** `reverse`: applications write to PostgreSQL; applied and tables are of the file then. */
  readonly direction: Direction;
  readonly applied: string | null;
  readonly phase: string | null;
  readonly paused: boolean;
  readonly verification: VerificationView | null;
  readonly tables: readonly TableFacts[];
  /** Absent: the pipeline has one group. */
  readonly groups?: readonly GroupFactsView[];
}
export interface TableFacts {
  readonly table: string;
  readonly target: string;
  readonly taken: number;
  readonly applied: number;
}

export type PipelineState = "running" | "snapshot" | "paused" | "degraded" | "stopped" | "down" | "switched";
export interface PipelineView {
  readonly pipeline: string;
  readonly state: PipelineState;
  /** null: nobody says. In `reverse` positions and distance are those of what comes back: head is PostgreSQL's, applied the file's. */
  readonly direction: Direction | null;
  readonly phase: string | null;
  readonly services: readonly ServiceView[];
  readonly positions: { readonly head: string | null; readonly log: string | null; readonly applied: string | null };
  readonly behind: { readonly changes: number | null; readonly ms: number | null; readonly why: string | null };
  /** In the source; null: nobody has measured it. */
  readonly captureLog: CaptureLogStatus | null;
  /** Of a source that looks in cycles; null: it does not, or does not say. */
  readonly lastLook: LookFigures | null;
  /** null: none is open, or nobody says. */
  readonly wayBack: WayBackView | null;
  readonly tables: readonly TableView[];
  /** Absent: the pipeline has one group, or nobody answers for the target. */
  readonly groups?: readonly GroupView[];
  readonly verification: VerificationView | null;
  /** Sentences. */
  readonly needsPerson: readonly string[];
  readonly next: readonly string[];
}
/** How far the source's file is behind PostgreSQL, and how much of PostgreSQL's log is kept for it. */
export interface WayBackView {
  readonly applied: string | null;
  readonly behind: PipelineView["behind"];
  readonly captureLog: CaptureLogStatus | null;
}
/** How far equality is proven. */
export interface VerificationView {
  /** Every table is proven equal as of here, but for the rows that differ; null: no run has compared all of them. */
  readonly provenAt: string | null;
  /** How long ago the oldest range was read. */
  readonly oldestMs: number | null;
  readonly mismatches: number;
}
export interface ServiceView {
  readonly service: ServiceName;
  readonly state: ServiceState | "unreachable";
  readonly why: string | null;
  readonly code: string | null;
  readonly attempt: ServiceStatus["attempt"];
  readonly sinceMs: number | null;
  /** Of each table group, where it has a loop for each. */
  readonly groups?: readonly GroupLoopView[];
}
export interface TableView {
  readonly table: string;
  readonly target: string | null;
  readonly phase: "waiting" | "snapshot" | "streaming" | null;
  readonly rowsRead: number | null;
  readonly rowsEstimated: number | null;
  /** Records that count, since the pipeline began. */
  readonly taken: number | null;
  readonly applied: number | null;
}

export function viewOf(observed: Observed): PipelineView {
  const movers = [serviceView("source", observed.source), serviceView("sink", observed.sink)];
  const { verify, reverse = null } = observed;
  const services = [
    ...movers,
    ...(verify === null ? [] : [serviceView("verify", verify)]),
    ...(reverse === null ? [] : [serviceView("reverse", reverse)]),
  ];
  const wayBack = wayBackOf(reverse);
  const direction = observed.target.kind === "heard" ? observed.target.value.direction : null;
  const phase = phaseOf(observed);
  const details = detailsOf(observed.source);
  const captureLog = observed.file?.kind === "heard" ? observed.file.value.captureLog : captureLogOf(details["captureLog"]);
  const alarm = captureLog === null ? null : alarmSentence(captureLog);
  const needsPerson = [
    ...services.filter(({ state }) => state === "stopped").map(({ service, why }) => `${service} stopped: ${why ?? "no reason given"}`),
    ...(alarm === null ? [] : [alarm]),
    ...alarmsBack(reverse, wayBack),
    ...notCarriedBack(observed),
    ...differing(observed.verification ?? null),
    ...(captureLog?.forgotten === true ? [forgottenSentence] : []),
  ];
  // Whoever only looks on does not decide how the pipeline is; after a switch those who carried forward only look on.
  const state = stateOf(movers, phase, observed);
  return {
    pipeline: observed.pipeline,
    state,
    direction,
    phase,
    services,
    ...(direction === "reverse" ? flowBack(observed) : flowForth(observed)),
    captureLog,
    lastLook: lookOf(details["lastLook"]),
    wayBack,
    tables: tablesOf(observed, progressOf(details["reread"])),
    ...groupsOf(observed),
    verification: observed.verification ?? null,
    needsPerson,
    next: [
      ...new Set([
        ...nextOf(
          state,
          services.filter((one) => !isIdleWayBack(one)),
          observed.target,
        ),
        ...(alarm === null ? [] : ["tailrace doctor"]),
      ]),
    ],
  };
}

function groupsOf({ target, source, reverse = null, file }: Observed): Pick<PipelineView, "groups"> {
  if (target.kind === "silent" || target.value.groups === undefined) return {};
  return {
    groups: groupViews(target.value.groups, {
      source: source.kind === "heard" ? source.value.details : null,
      reverse: reverse?.kind === "heard" ? reverse.value.details : null,
      measured: (file?.kind === "heard" ? file.value.groups : undefined) ?? new Map(),
    }),
  };
}

type Flow = Pick<PipelineView, "positions" | "behind">;

function flowForth(observed: Observed): Flow {
  const details = detailsOf(observed.source);
  return {
    positions: {
      head: observed.file?.kind === "heard" ? formatPosition(observed.file.value.head) : textOf(details["head"]),
      log: observed.source.kind === "heard" ? observed.source.value.position : null,
      applied: observed.target.kind === "heard" ? observed.target.value.applied : positionOf(observed.sink),
    },
    behind: observed.file?.kind === "heard" ? distanceOf(observed.file.value) : behindOf(observed, details["behind"]),
  };
}

/** What the application has written at PostgreSQL, and how much of it the file has. */
function flowBack({ reverse = null, target }: Observed): Flow {
  const details = reverse === null ? {} : detailsOf(reverse);
  const reading = details["source"];
  const head = typeof reading === "object" && reading !== null ? (reading as Partial<ServiceStatus>).details?.["head"] : null;
  const silent = reverse === null ? "nobody asked" : reverse.kind === "silent" ? reverse.why : null;
  return {
    positions: { head: textOf(head), log: textOf(details["log"]), applied: target.kind === "heard" ? target.value.applied : null },
    behind:
      silent === null
        ? (wayBackOf(reverse)?.behind ?? { changes: null, ms: null, why: reverse?.kind === "heard" ? reverse.value.why : null })
        : { changes: null, ms: null, why: `the service that carries changes back does not answer (${silent})` },
  };
}

/** PostgreSQL keeps its log meanwhile, and nobody measures how much. */
const notCarriedBack = ({ target, reverse = null }: Observed): readonly string[] =>
  target.kind === "heard" && target.value.direction === "reverse" && target.value.applied !== null && reverse?.kind === "silent"
    ? [`nothing carries PostgreSQL's changes back, and its log is kept for them: start \`tailrace run reverse\` (${reverse.why})`]
    : [];

const isShutWayBack = ({ service, code, groups = [] }: ServiceView): boolean =>
  service === "reverse" && [code, ...groups.map((group) => group.code)].some(isShut);

/** Before a cutover it has nothing to do and nothing to say. */
export const isIdleWayBack = ({ service, code }: ServiceView): boolean => service === "reverse" && code === "source.way-back-closed";

const lookOf = (value: unknown): LookFigures | null => (typeof value === "object" && value !== null ? (value as LookFigures) : null);
const captureLogOf = (value: unknown): CaptureLogStatus | null =>
  typeof value === "object" && value !== null ? (value as CaptureLogStatus) : null;
const positionOf = (heard: Heard<ServiceStatus>): string | null => (heard.kind === "heard" ? heard.value.position : null);
const detailsOf = (heard: Heard<ServiceStatus>): Readonly<Record<string, unknown>> => (heard.kind === "heard" ? heard.value.details : {});
const textOf = (value: unknown): string | null => (typeof value === "string" ? value : null);

const differing = (verification: VerificationView | null): readonly string[] =>
  verification === null || verification.mismatches === 0
    ? []
    : [`${verification.mismatches} rows differ between source and target: \`tailrace verify show\`, \`tailrace verify repair\``];

function serviceView(service: ServiceName, heard: Heard<ServiceStatus>): ServiceView {
  if (heard.kind === "silent") return { service, state: "unreachable", why: heard.why, code: null, attempt: null, sinceMs: null };
  const { state, why, code, attempt, sinceMs, details } = heard.value;
  const groups = loopsOf(details)?.map(loopView) ?? null;
  return { service, state, why, code, attempt, sinceMs, ...(groups === null ? {} : { groups }) };
}

function wayBackOf(reverse: Heard<ServiceStatus> | null): WayBackView | null {
  if (reverse === null || reverse.kind === "silent" || reverse.value.state === "standing-by") return null;
  const { details, position } = reverse.value;
  const { behind } = details;
  return {
    applied: position,
    behind:
      typeof behind === "object" && behind !== null
        ? distanceOf(behind as Parameters<typeof distanceOf>[0])
        : { changes: null, ms: null, why: "it is not open yet" },
    captureLog: captureLogOf(details["captureLog"]),
  };
}

/** Each group has a slot of its own. */
function alarmsBack(reverse: Heard<ServiceStatus> | null, wayBack: WayBackView | null): readonly string[] {
  const loops = reverse?.kind === "heard" ? loopsOf(reverse.value.details) : null;
  const kept =
    loops?.map(({ group, details }) => ({ of: `group ${group}: `, log: captureLogOf(details["captureLog"]) })) ??
    (wayBack === null ? [] : [{ of: "", log: wayBack.captureLog }]);
  return kept.flatMap(({ of, log }) => {
    const sentence = log === null ? null : slotAlarmSentence(log);
    return sentence === null ? [] : [`${of}${sentence}`];
  });
}

function phaseOf({ target, sink, source }: Observed): string | null {
  if (target.kind === "heard" && target.value.phase !== null) return target.value.phase;
  return textOf(detailsOf(sink)["phase"]) ?? textOf(detailsOf(source)["phase"]);
}

function stateOf(services: readonly ServiceView[], phase: string | null, { target }: Observed): PipelineState {
  if (services.some(({ state }) => state === "stopped")) return "stopped";
  if (services.some(({ code }) => code === "cutover.switched")) return "switched";
  if (target.kind === "heard" && target.value.direction === "reverse") return "switched";
  if (services.every(({ state }) => state === "unreachable" || state === "ended")) return "down";
  if (services.some(({ state }) => state === "paused") || (target.kind === "heard" && target.value.paused)) return "paused";
  if (services.some(({ state }) => state !== "running")) return "degraded";
  return phase === "streaming" ? "running" : "snapshot";
}

function behindOf({ source, file }: Observed, behind: unknown): PipelineView["behind"] {
  if (file?.kind === "silent") return { changes: null, ms: null, why: file.why };
  if (source.kind === "silent") return { changes: null, ms: null, why: `the source service does not answer (${source.why})` };
  if (typeof behind !== "object" || behind === null) return { changes: null, ms: null, why: "the source is not open yet" };
  return distanceOf(behind as { readonly changes?: Known<number>; readonly ms?: Known<number> });
}

function progressOf(reread: unknown): readonly RereadProgress[] {
  return Array.isArray(reread) ? (reread as readonly RereadProgress[]) : [];
}

function tablesOf({ target }: Observed, progress: readonly RereadProgress[]): readonly TableView[] {
  const facts = target.kind === "heard" ? target.value.tables : [];
  const names = [...new Set([...facts.map(({ table }) => table), ...progress.map(({ table }) => String(table))])];
  return names.map((table) => {
    const fact = facts.find((one) => one.table === table);
    const read = progress.find((one) => one.table === table);
    const isOld = read?.state === "done" && read.rowsEstimated.kind === "unknown";
    return {
      table,
      target: fact?.target ?? null,
      phase:
        read === undefined
          ? fact === undefined
            ? null
            : "streaming"
          : ({ waiting: "waiting", reading: "snapshot", done: "streaming" } as const)[read.state],
      // What an earlier process has read, nobody has counted.
      rowsRead: read === undefined || isOld ? null : read.rowsRead,
      rowsEstimated: read === undefined ? null : valueOf(read.rowsEstimated),
      taken: fact?.taken ?? null,
      applied: fact?.applied ?? null,
    };
  });
}

function nextOf(state: PipelineState, services: readonly ServiceView[], target: Observed["target"]): readonly string[] {
  const codes = services.flatMap(({ code }) => (code === null ? [] : [`tailrace explain ${code}`]));
  switch (state) {
    case "down":
      return target.kind === "heard" && target.value.tables.length === 0 ? ["tailrace apply"] : ["tailrace run"];
    case "paused":
      return ["tailrace resume"];
    case "snapshot":
      return [...codes, "tailrace wait caught-up"];
    case "stopped":
      return [...new Set(codes), "tailrace doctor", "tailrace run"];
    case "degraded":
      return [...new Set(codes), "tailrace doctor"];
    case "switched":
      return services.some(isShutWayBack) ? ["tailrace cutover reopen"] : ["tailrace cutover status"];
    case "running":
      return [];
    default:
      return unreachable(state);
  }
}
