/** The gates before a cutover, each by name: what was found, and what a person does about it. Pure; whoever calls has looked. */
import type { CutoverFacts, CutoverStory, FenceState, GivenNumber, ReadyPlan } from "../../core/contracts/cutover.js";
import type { Known } from "../../core/contracts/source.js";
import { formatPosition } from "../../core/vocabulary/position.js";
import type { PausePrediction } from "./predict.js";

export interface PreflightFacts {
  readonly facts: CutoverFacts;
  /** Null: its intactness could not be proven, and why. */
  readonly fence: { readonly state: FenceState | null; readonly why: string | null };
  readonly services: Readonly<Record<"source" | "sink", string>>;
  readonly lag: { readonly changes: Known<number>; readonly ms: Known<number> };
  readonly cost: { readonly dirtyRows: number; readonly dirtyChunks: number; readonly oldestProofMs: number | null };
  /** Rows that the newest proof still holds for different; null: there is no proof. */
  readonly different: number | null;
  readonly ready: ReadyPlan;
  readonly numbers: readonly GivenNumber[];
  readonly last: CutoverStory | null;
  readonly prediction: PausePrediction;
  readonly freeBytes: number;
  /** null: it goes without. */
  readonly wayBack: { readonly service: string; readonly obstacles: readonly string[] } | null;
  readonly limits: PreflightLimits;
}
export interface PreflightLimits {
  readonly pauseMs: number;
  readonly lagMs: number;
  /** A proof of equality may be this old. */
  readonly proofMs: number;
}
export interface CutoverCheck {
  readonly id: string;
  readonly severity: "ok" | "info" | "warn" | "error";
  /** An error that an operator may pass over by name. */
  readonly acceptable: boolean;
  readonly what: string;
  readonly fix: string;
}

type Draft = Omit<CutoverCheck, "id" | "acceptable"> & { readonly acceptable?: boolean };
const ok = (what: string): Draft => ({ severity: "ok", what, fix: "" });
const bad = (what: string, fix: string): Draft => ({ severity: "error", what, fix });
const freeBytesMin = 64 * 1024 * 1024;

export function preflight(known: PreflightFacts): readonly CutoverCheck[] {
  const checks: Readonly<Record<string, Draft>> = {
    route: route(known),
    "services.running": services(known),
    "snapshot.complete": snapshot(known),
    lag: lag(known),
    "source.fence": fence(known),
    "source.disk": disk(known),
    verification: verification(known),
    "target.constraints": constraints(known),
    "target.ready": ready(known),
    "target.privileges": privileges(known),
    "target.queries": queries(known),
    numbers: numbers(known),
    pause: pause(known),
    "way-back": wayBack(known),
  };
  return Object.entries(checks).map(([id, draft]) => ({ id, acceptable: false, ...draft }));
}

export const refusals = (checks: readonly CutoverCheck[], accepted: readonly string[]): readonly CutoverCheck[] =>
  checks.filter(({ id, severity, acceptable }) => severity === "error" && !(acceptable && accepted.includes(id)));

function route({ facts, last }: PreflightFacts): Draft {
  const { side, version } = facts.route;
  if (side === "target") return bad("the pipeline was switched over already", "Nothing to do");
  if (last !== null && last.finishedAt === null) {
    const what = `cutover ${last.id} of ${last.holder} is at '${last.state}' since ${last.startedAt}`;
    return { severity: "info", what, fix: "If its process is gone, `tailrace cutover run` settles it first; else wait" };
  }
  if (side === "paused")
    return bad(`the route is paused (version ${version}) and no cutover is under way`, "`tailrace cutover abort` opens it");
  return ok(`applications write to the source (version ${version})`);
}

function services({ services: { source, sink } }: PreflightFacts): Draft {
  if (source === "running" && sink === "running") return ok("source and sink are running");
  return bad(
    `the source is ${source}, the sink is ${sink}`,
    "Start what is missing with `tailrace run`, or `tailrace resume` what is paused",
  );
}

function snapshot({ facts: { passed } }: PreflightFacts): Draft {
  if (passed === null) return bad("nothing was applied yet", "Run the pipeline until `tailrace wait caught-up` answers");
  if (!passed.settled) return bad("a copy is still running", "Wait for it: `tailrace status --watch`");
  return ok(`complete; the target stands at ${formatPosition(passed.position)}`);
}

function lag({ lag: { changes, ms }, limits }: PreflightFacts): Draft {
  if (ms.kind === "unknown") return bad(`it cannot be told: ${ms.why}`, "Start both services and look at `tailrace status`");
  // A file that is compared from time to time says since when it has moved, and not in how many rows.
  const what = `${changes.kind === "known" ? changes.value : "some"} changes, ${Math.round(ms.value)} ms`;
  return ms.value <= limits.lagMs
    ? ok(what)
    : bad(`${what}; ${limits.lagMs} ms is the limit`, "Wait until the target has caught up, or find what holds the sink up");
}

function fence({ fence: { state, why } }: PreflightFacts): Draft {
  if (state === null) return bad(why ?? "it cannot be proven", "Run `tailrace apply`, then wait until the target has caught up");
  if (state.kind === "open") return ok("every captured table has its fence, and none is up");
  return {
    severity: "info",
    what: `a fence is up (${state.kind}, marker ${state.marker})`,
    fix: "`tailrace cutover run` settles it first",
  };
}

function disk({ freeBytes }: PreflightFacts): Draft {
  const what = `${Math.round(freeBytes / 1024 / 1024)} MiB free beside the source`;
  return freeBytes >= freeBytesMin ? ok(what) : bad(what, "Make room: a full disk refuses the application's writes and ours");
}

function verification({ cost: { dirtyRows, dirtyChunks, oldestProofMs }, different, limits }: PreflightFacts): Draft {
  if (different !== null && different > 0)
    return bad(
      `${different} rows differ by the newest verification`,
      "`tailrace verify show` names them, `tailrace verify repair` mends them",
    );
  if (oldestProofMs === null)
    return bad("some table was never proven equal as a whole", "Run `tailrace verify run` and look at its result");
  const what = `${dirtyRows} rows in ${dirtyChunks} ranges are compared behind the fence; the oldest proof of the others is ${Math.round(oldestProofMs / 1000)} s old`;
  return oldestProofMs <= limits.proofMs ? ok(what) : bad(what, "Let a sweep end: `tailrace verify run`");
}

function constraints({ facts: { leftOut } }: PreflightFacts): Draft {
  if (leftOut.length === 0) return ok("every index, unique constraint and foreign key of the plan was built");
  const list = leftOut.map(({ object, why }) => `${object}: ${why}`).join("; ");
  return {
    ...bad(
      `${leftOut.length} could not be built: ${list}`,
      "Mend the rows and `tailrace snapshot TABLE`, or go on without: `--accept target.constraints`",
    ),
    acceptable: true,
  };
}

function ready({ facts: { unfinished }, ready: { before, behind, after } }: PreflightFacts): Draft {
  if (unfinished.length > 0) {
    return bad(
      `indexes and keys are still to be built: ${unfinished.join(", ")}`,
      "The sink builds them when a copy has ended; wait for it",
    );
  }
  return ok(`${before.length} statements before the pause, ${behind.length} in it, ${after.length} after it`);
}

function privileges({ facts: { notOurs } }: PreflightFacts): Draft {
  if (notOurs.length === 0) return ok("our role may alter every target table");
  return bad(`our role does not own ${notOurs.join(", ")}`, "Grant it the owner's role, or let the owner run the cutover");
}

function queries({ facts: { longMs } }: PreflightFacts): Draft {
  if (longMs < 1_000) return ok("nobody holds a target table for long");
  const what = `a transaction has held a target table for ${Math.round(longMs / 1000)} s`;
  return { severity: "warn", what, fix: "The switch waits a second for its lock and then goes back; end it, or choose another time" };
}

/** Opened and proven by the cutover itself, before any write waits; what can be known beforehand is asked here. */
function wayBack({ wayBack: way }: PreflightFacts): Draft {
  const acceptable = true;
  if (way === null) {
    return {
      severity: "warn",
      what: "there is no stream back: after the switch, what the application writes is in PostgreSQL alone",
      fix: "Have a backup of the source and decide beforehand what would make you restore it",
    };
  }
  const { service, obstacles } = way;
  if (obstacles.length > 0) {
    const fix = "Mend it, or go without (`--accept way-back`): then what the application writes after the switch is in PostgreSQL alone";
    return { ...bad(obstacles.join("; "), fix), acceptable };
  }
  if (service === "standing-by" || service === "running") return ok("it can be opened, and the service that carries changes back is there");
  return {
    ...bad(`the service that carries changes back is ${service}`, "Start it: `tailrace run`, or `tailrace run reverse`"),
    acceptable,
  };
}

function numbers({ numbers: given }: PreflightFacts): Draft {
  return ok(
    given.length === 0
      ? "the source gives no numbers by itself"
      : given.map(({ table, column, highest }) => `${table}.${column} goes on above ${highest}`).join(", "),
  );
}

function pause({ prediction, limits }: PreflightFacts): Draft {
  const what = `writes will wait about ${Math.round(prediction.ms)} ms; ${limits.pauseMs} ms is the limit`;
  return prediction.ms <= limits.pauseMs
    ? ok(what)
    : {
        ...bad(what, "Allow more with `--max-pause`, verify before it so that less is left to compare, or `--accept pause`"),
        acceptable: true,
      };
}
