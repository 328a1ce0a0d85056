/** Table groups on the operator's screen, one line each, where there are several. */
import type { ServiceState } from "../../core/status.js";
import type { Known, Lag } from "../../core/contracts/source.js";
import { formatCount, formatMs } from "../output/format.js";
import type { Paint } from "../output/output.js";
import { renderTable } from "../output/table.js";

/** As the target has it. */
export interface GroupFactsView {
  readonly group: string;
  readonly id: number;
  /** Where its application writes. */
  readonly side: "source" | "paused" | "target";
  readonly paused: boolean;
  readonly phase: string | null;
  /** null: nothing yet. */
  readonly applied: string | null;
  readonly tables: readonly string[];
}

export interface GroupView extends GroupFactsView {
  /** Of the way that its changes flow now: what its sink, or the file, has not passed yet. */
  readonly behind: Distance;
}
export interface Distance {
  readonly changes: number | null;
  readonly ms: number | null;
  /** Why something is not known. */
  readonly why: string | null;
}
/** What the services say of themselves; null: silent. */
export interface GroupSpeakers {
  readonly source: Readonly<Record<string, unknown>> | null;
  readonly reverse: Readonly<Record<string, unknown>> | null;
  /** Measured in the file while the source service is silent. */
  readonly measured: ReadonlyMap<number, Partial<Measured>>;
}
type Measured = Pick<Lag, "changes" | "ms">;

export const groupViews = (groups: readonly GroupFactsView[], speakers: GroupSpeakers): readonly GroupView[] =>
  groups.map((group) => {
    const said =
      group.side === "target"
        ? saidBack(group.id, speakers.reverse)
        : (saidOf(group.id, speakers.source) ?? speakers.measured.get(group.id));
    const who = group.side === "target" ? "the service that carries changes back" : "the source service";
    return { ...group, behind: said === undefined ? { changes: null, ms: null, why: `${who} says nothing of it` } : distanceOf(said) };
  });

function saidOf(id: number, details: GroupSpeakers["source"]): Partial<Measured> | undefined {
  const all = details?.["behindOf"];
  return Array.isArray(all) ? (all as readonly ({ readonly id: number } & Partial<Measured>)[]).find((one) => one.id === id) : undefined;
}

function saidBack(id: number, details: GroupSpeakers["reverse"]): Partial<Measured> | undefined {
  const behind = loopsOf(details ?? {})?.find((loop) => loop.id === id)?.details["behind"];
  return typeof behind === "object" && behind !== null ? (behind as Partial<Measured>) : undefined;
}

export function distanceOf({ changes, ms }: Partial<Measured>): Distance {
  const unknown = [changes, ms].find((known) => known?.kind === "unknown");
  return { changes: valueOf(changes), ms: valueOf(ms), why: unknown?.kind === "unknown" ? unknown.why : null };
}

export const valueOf = (known: Known<number> | undefined): number | null => (known?.kind === "known" ? known.value : null);

/** One loop of a service, as it says of itself. */
export interface GroupLoopView {
  readonly id: number;
  readonly state: ServiceState;
  readonly why: string | null;
  readonly code: string | null;
}

interface GroupLoop extends GroupLoopView {
  readonly group: string;
  readonly details: Readonly<Record<string, unknown>>;
}

/** null: the service has one loop. */
export const loopsOf = ({ groups }: Readonly<Record<string, unknown>>): readonly GroupLoop[] | null =>
  Array.isArray(groups) ? (groups as readonly GroupLoop[]) : null;

export const loopView = ({ id, state, why, code }: GroupLoop): GroupLoopView => ({ id, state, why, code });

export function groupLines(groups: readonly GroupView[], paint: Paint): readonly string[] {
  if (groups.length === 0) return [];
  const columns = [
    { title: "group" },
    { title: "state" },
    { title: "applied" },
    { title: "behind", right: true },
    { title: "for", right: true },
    { title: "tables", right: true },
  ];
  const rows = groups.map(({ group, side, paused, phase, applied, behind, tables }) => [
    group,
    side === "target" ? "switched over" : side === "paused" ? "being switched" : paused ? "paused" : (phase ?? "waiting"),
    applied ?? "-",
    formatCount(behind.changes),
    formatMs(behind.ms),
    formatCount(tables.length),
  ]);
  return ["", ...renderTable(columns, rows, paint).split("\n")];
}
