/** Table groups on the operator's screen, one line each, where there are several. */
import type { ServiceState } from "../../core/status.js";
import { formatCount } from "../output/format.js";
import type { Paint } from "../output/output.js";
import { renderTable } from "../output/table.js";

export interface GroupView {
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

/** One loop of a service, as it says of itself. */
export interface GroupLoopView {
  readonly id: number;
  readonly state: ServiceState;
  readonly why: string | null;
  readonly code: string | null;
}

/** null: the service has one loop. */
export function loopsOf({ groups }: Readonly<Record<string, unknown>>): readonly GroupLoopView[] | null {
  if (!Array.isArray(groups)) return null;
  return (groups as readonly GroupLoopView[]).map(({ id, state, why, code }) => ({ id, state, why, code }));
}

export function groupLines(groups: readonly GroupView[], paint: Paint): readonly string[] {
  if (groups.length === 0) return [];
  const rows = groups.map(({ group, side, paused, phase, applied, tables }) => [
    group,
    side === "target" ? "switched over" : side === "paused" ? "being switched" : paused ? "paused" : (phase ?? "waiting"),
    applied ?? "-",
    formatCount(tables.length),
  ]);
  return [
    "",
    ...renderTable([{ title: "group" }, { title: "state" }, { title: "applied" }, { title: "tables", right: true }], rows, paint).split(
      "\n",
    ),
  ];
}
