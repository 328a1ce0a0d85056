/** How long writes will wait, from figures that are all said. Measured ones come from the last cutover or rehearsal; the others say that they are assumed. */
import type { CutoverFacts, CutoverStory } from "../../core/contracts/cutover.js";
import type { Known } from "../../core/contracts/source.js";
import type { CutoverState } from "../../core/cutover/states.js";

export interface PredictionFacts {
  readonly facts: CutoverFacts;
  readonly lagMs: Known<number>;
  readonly dirtyRows: number;
  /** Statements that are executed while writes wait. */
  readonly statements: number;
  readonly last: CutoverStory | null;
}
export interface PauseFigure {
  readonly what: string;
  readonly ms: number;
  readonly from: string;
}
export interface PausePrediction {
  readonly ms: number;
  readonly figures: readonly PauseFigure[];
}

/** Route and journal: each is stored before it is acted on. */
const durableWrites = 9;
const assumed = { fenceMs: 20, drainMs: 30, statementMs: 3, rowsPerSecond: 40_000 } as const;

export function predictPause(known: PredictionFacts): PausePrediction {
  const figures = [
    {
      what: "journal and route",
      ms: durableWrites * known.facts.commitMs,
      from: `${durableWrites} durable writes of ${known.facts.commitMs.toFixed(1)} ms, measured now`,
    },
    fence(known),
    drain(known),
    check(known),
    ready(known),
  ];
  return { ms: figures.reduce((sum, { ms }) => sum + ms, 0), figures };
}

function fence({ last }: PredictionFacts): PauseFigure {
  const measured = stepOf(last, "fencing");
  return measured === null
    ? { what: "fence", ms: assumed.fenceMs, from: "assumed; a running transaction of the application is waited for" }
    : { what: "fence", ms: measured, from: said(last) };
}

function drain({ last, lagMs }: PredictionFacts): PauseFigure {
  const lag = lagMs.kind === "known" ? lagMs.value : 0;
  const measured = stepOf(last, "draining");
  const base = measured ?? assumed.drainMs;
  return {
    what: "drain",
    ms: Math.max(base, lag),
    from: `lag now ${Math.round(lag)} ms, ${measured === null ? "at least 30 ms assumed" : said(last)}`,
  };
}

function check({ last, dirtyRows }: PredictionFacts): PauseFigure {
  const ms = stepOf(last, "checking");
  const rows = Number(detailsOf(last, "checking")?.["rowsRead"] ?? 0);
  if (ms === null || rows < 1_000) {
    return { what: "final check", ms: (dirtyRows / assumed.rowsPerSecond) * 1000, from: `${dirtyRows} rows at 40,000 rows/s, assumed` };
  }
  return {
    what: "final check",
    ms: (dirtyRows / rows) * ms,
    from: `${dirtyRows} rows at ${Math.round((rows / ms) * 1000)} rows/s, ${said(last)}`,
  };
}

function ready({ last, statements }: PredictionFacts): PauseFigure {
  const measured = stepOf(last, "readying");
  return measured === null
    ? { what: "constraints and numbers", ms: statements * assumed.statementMs, from: `${statements} statements of 3 ms, assumed` }
    : { what: "constraints and numbers", ms: measured, from: said(last) };
}

const stepOf = (last: CutoverStory | null, step: CutoverState): number | null =>
  last?.steps.find((one) => one.step === step && last.steps.some(({ step: later }) => isBehind(later, step)))?.ms ?? null;

/** A step that was cut short says nothing about how long it takes. */
const isBehind = (later: CutoverState, step: CutoverState): boolean => {
  const order: readonly CutoverState[] = ["fencing", "draining", "checking", "readying", "keeping", "undoing"];
  return order.indexOf(later) > order.indexOf(step) && (step === "readying" || later !== "undoing");
};

const detailsOf = (last: CutoverStory | null, step: CutoverState): Readonly<Record<string, unknown>> | undefined =>
  last?.steps.find((one) => one.step === step)?.details;

const said = (last: CutoverStory | null): string => (last === null ? "" : `measured by ${last.kind} ${last.id}`);
