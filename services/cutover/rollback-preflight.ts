/** The gates before a rollback. That the way back is alive is proven by the rollback itself, with a canary, before any write waits. */
import type { CutoverFacts, CutoverStory, ReadyPlan } from "../../core/contracts/cutover.js";
import type { CutoverCheck } from "./preflight.js";

export interface RollbackFacts {
  readonly facts: CutoverFacts;
  /** Why PostgreSQL's side cannot be fenced off; null: it can. */
  readonly fence: string | null;
  /** Why nothing can come back; null: no way back is open, empty: nothing is known that would keep it. */
  readonly obstacles: readonly string[] | null;
  readonly last: CutoverStory | null;
  /** The newest, if it was a rollback: its steps were measured. */
  readonly lastBack: CutoverStory | null;
  readonly cost: { readonly dirtyRows: number };
  /** It is known which rows have come back since both sides were equal: `cost` counts these alone. */
  readonly isKnown: boolean;
  readonly ready: ReadyPlan;
  readonly freeBytes: number;
}

type Draft = Pick<CutoverCheck, "severity" | "what" | "fix">;
const ok = (what: string): Draft => ({ severity: "ok", what, fix: "" });
const bad = (what: string, fix: string): Draft => ({ severity: "error", what, fix });
const freeBytesMin = 64 * 1024 * 1024;

export function rollbackPreflight(known: RollbackFacts): readonly CutoverCheck[] {
  const checks: Readonly<Record<string, Draft>> = {
    route: route(known),
    "way-back": wayBack(known),
    "target.fence":
      known.fence === null
        ? ok("every table of the pipeline can be fenced off in PostgreSQL")
        : bad(known.fence, "Let the owner of the tables run it"),
    "target.queries": queries(known),
    "source.disk": disk(known),
    verification: verification(known),
  };
  return Object.entries(checks).map(([id, draft]) => ({ id, acceptable: false, ...draft }));
}

function route({ facts: { route: now }, last }: RollbackFacts): Draft {
  if (last !== null && last.finishedAt === null) {
    const what = `${last.kind} ${last.id} of ${last.holder} is at '${last.state}' since ${last.startedAt}`;
    return { severity: "info", what, fix: "If its process is gone, it is settled first; else wait" };
  }
  if (now.side === "target") return ok(`applications write to PostgreSQL (version ${now.version})`);
  return bad(`applications write to the ${now.side} (version ${now.version})`, "There is nothing to take back");
}

function verification({ cost: { dirtyRows }, isKnown }: RollbackFacts): Draft {
  if (isKnown)
    return ok(`${dirtyRows} rows have come back since both sides were equal: they are compared, all but the last before writes wait`);
  const what = `${dirtyRows} rows are compared while writes wait: which of them have changed is not known`;
  return { severity: "warn", what, fix: "`tailrace verify run` before it: then only what comes back after that is left to compare" };
}

function wayBack({ obstacles }: RollbackFacts): Draft {
  if (obstacles === null)
    return bad(
      "there is none: what the application has written since the cutover is in PostgreSQL alone",
      "`tailrace cutover reopen` opens one and tells the file what it has missed",
    );
  // Each says what mends it.
  if (obstacles.length > 0) return bad(obstacles.join("; "), "Mend that first");
  return ok("it is proven with a row that goes the whole way, before any write waits");
}

function queries({ facts: { longMs } }: RollbackFacts): Draft {
  if (longMs < 1_000) return ok("nobody holds a table for long");
  const what = `a transaction has held a table for ${Math.round(longMs / 1000)} s`;
  return { severity: "warn", what, fix: "The fence waits for writers; end it, or choose another time" };
}

function disk({ freeBytes }: RollbackFacts): Draft {
  const what = `${Math.round(freeBytes / 1024 / 1024)} MiB free beside the source`;
  return freeBytes >= freeBytesMin ? ok(what) : bad(what, "Make room: the application is about to write there again");
}
