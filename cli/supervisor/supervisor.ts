/** All roles of a pipeline on one machine, one process each: what fails alone is started again alone. */
import type { Clock } from "../../core/clock.js";
import { type ExitCode, exits } from "../exit-codes.js";
import type { Readiness } from "../http/server.js";
import { Child, type ChildView } from "./child.js";
import { movers, type Role } from "./messages.js";

export interface SupervisorOptions {
  /** `node tailrace.js run -c FILE`, without the role. */
  readonly command: readonly [string, ...string[]];
  readonly clock: Clock;
  readonly roles: readonly Role[];
  readonly onLine: (role: Role, line: string) => void;
  readonly onChange: (view: ChildView) => void;
}

export class Supervisor {
  readonly #children: readonly Child[];

  constructor({ roles, ...options }: SupervisorOptions) {
    this.#children = roles.map((role) => new Child({ role, ...options }));
  }

  views(): readonly ChildView[] {
    return this.#children.map((child) => child.view());
  }

  /** Resolves when every role has ended. A role that needs a person leaves the others running. */
  async run(signal: AbortSignal): Promise<ExitCode> {
    const codes = await Promise.all(this.#children.map((child) => child.run(signal)));
    return codes.find((code) => code !== exits.done) ?? exits.done;
  }

  readiness(): Readiness {
    const late = this.views()
      .filter(({ role }) => movers.includes(role))
      .map(notReady)
      .filter((why) => why !== null);
    return late.length === 0 ? { ready: true, why: null } : { ready: false, why: late.join("; ") };
  }
}

function notReady(view: ChildView): string | null {
  const { role, state, report, lastExit } = view;
  if (state !== "running") return `${role}: ${state}${lastExit === null ? "" : ` (${lastExit})`}`;
  if (report === null) return `${role}: starting`;
  const { status } = report;
  if (status.state === "running" || status.state === "paused") return null;
  return `${role}: ${status.state}${status.why === null ? "" : `: ${status.why}`}`;
}
