import { expect, it } from "vitest";
import { systemClock } from "../../../core/clock.js";
import type { CutoverFacts } from "../../../core/contracts/cutover.js";
import { tableId, theGroup } from "../../../core/vocabulary/ids.js";
import { position } from "../../../core/vocabulary/position.js";
import { planCutover } from "../../../services/cutover/dry-run.js";
import { defaultLimits } from "../../../services/cutover/parts.js";
import { predictPause } from "../../../services/cutover/predict.js";
import { type PreflightFacts, preflight, refusals } from "../../../services/cutover/preflight.js";
import { planLines } from "../../../cli/cutover/text.js";
import type { Paint } from "../../../cli/output/output.js";

const plain = (text: string): string => text;
const paint: Paint = { bold: plain, dim: plain, red: plain, green: plain, yellow: plain, cyan: plain };
const ready = {
  before: ['CREATE UNIQUE INDEX CONCURRENTLY "tailrace_waits_1" ON "public"."t" ("email")'],
  behind: ['ALTER TABLE "public"."t" DROP CONSTRAINT "t_email_key"', "SELECT setval('t_id_seq', 70, true)"],
  after: ['ALTER TABLE "public"."t" VALIDATE CONSTRAINT "t_p_fkey"'],
};
const facts: CutoverFacts = {
  route: { side: "source", version: 4 },
  passed: { position: position(1, 9), marker: null, settled: true },
  leftOut: [],
  unfinished: [],
  notOurs: [],
  longMs: 0,
  commitMs: 2,
};
const lagMs = { kind: "known", value: 12 } as const;
const prediction = predictPause({ facts, lagMs, dirtyRows: 2_000, statements: 2, last: null });

it("prints what happens, in order, and how long writes wait", async () => {
  const dry = { ready, numbers: [], tables: 3, dirtyRows: 2_000, advances: true, hooks: ["./switch.sh"], wayBack: true, isFileHeld: false };
  const steps = await planCutover({ group: theGroup, clock: systemClock, limits: defaultLimits }, dry, "cutover");
  expect(planLines(steps, prediction, paint).join("\n")).toMatchInlineSnapshot(`
    " 1. preparing
          target: CREATE UNIQUE INDEX CONCURRENTLY "tailrace_waits_1" ON "public"."t" ("email")
          compares what has changed since the last proof, while writes go on
     2. opening
          source: \`_cdc_applied\` takes note of what comes back; the log gets topics for it
          target: a publication of 3 tables, whole old rows in its log where they hold large values, and a replication slot
          waits until a row written at the target has come through the log into the source
     3. pausing
          target: tailrace.route says 'paused'; applications that follow it hold their writes
          tells ./switch.sh that the route is 'paused'
     4. fencing
          source: one transaction refuses every write to 3 tables and notes the last position; it ends by itself after 2500 ms unless renewed
     5. draining
          waits until the target has applied everything up to that position
     6. checking
          compares 2000 rows of both sides; a difference takes everything back
     7. readying
          target: opens the transaction of the switch
          target: ALTER TABLE "public"."t" DROP CONSTRAINT "t_email_key"
          target: SELECT setval('t_id_seq', 70, true)
     8. keeping
          source: the fence stays until somebody takes it away; from here on only the route says which side is written to
     9. switching
          target: in the same transaction, no forward sink can commit any more
          target: in the same transaction, tailrace.route says 'target'; COMMIT
    10. switched
          tells ./switch.sh that the route is 'target'
          target: ALTER TABLE "public"."t" VALIDATE CONSTRAINT "t_p_fkey"

    writes will wait about 124 ms (from 'pausing' to 'switching'):
         18 ms  journal and route        9 durable writes of 2.0 ms, measured now
         20 ms  fence                    assumed; a running transaction of the application is waited for
         30 ms  drain                    lag now 12 ms, at least 30 ms assumed
         50 ms  final check              2000 rows at 40,000 rows/s, assumed
          6 ms  constraints and numbers  2 statements of 3 ms, assumed"
  `);
});

it("rehearses everything but the switch", async () => {
  const dry = { ready, numbers: [], tables: 3, dirtyRows: 2_000, advances: true, hooks: [], wayBack: true, isFileHeld: false };
  const steps = await planCutover({ group: theGroup, clock: systemClock, limits: defaultLimits }, dry, "rehearsal");
  expect(steps.map(({ step }) => step)).toEqual([
    "preparing",
    "opening",
    "pausing",
    "fencing",
    "draining",
    "checking",
    "readying",
    "undoing",
  ]);
  expect(steps.at(-1)?.does).toEqual([
    "target: tailrace.route says 'source'; applications go on where they were",
    "source: takes writes again",
    "target: drops the indexes that waited for the switch",
    "target: drops slot and publication",
  ]);
});

const good: PreflightFacts = {
  facts,
  fence: { state: { kind: "open" }, why: null },
  services: { source: "running", sink: "running" },
  lag: { changes: { kind: "known", value: 3 }, ms: lagMs },
  cost: { dirtyRows: 2_000, dirtyChunks: 4, oldestProofMs: 60_000 },
  different: 0,
  ready,
  numbers: [{ table: tableId("t"), column: "id", highest: 69n }],
  last: null,
  prediction,
  freeBytes: 1e9,
  wayBack: { service: "standing-by", obstacles: [] },
  limits: { pauseMs: 5_000, lagMs: 2_000, proofMs: 3_600_000 },
};
const unknown = { kind: "unknown", why: "nobody answers" } as const;

it.each<[string, Partial<PreflightFacts>]>([
  ["route", { facts: { ...facts, route: { side: "target", version: 5 } } }],
  ["route", { facts: { ...facts, route: { side: "paused", version: 5 } } }],
  ["services.running", { services: { source: "running", sink: "paused" } }],
  ["snapshot.complete", { facts: { ...facts, passed: null } }],
  ["snapshot.complete", { facts: { ...facts, passed: { position: position(1, 9), marker: null, settled: false } } }],
  ["lag", { lag: { changes: { kind: "known", value: 3 }, ms: { kind: "known", value: 2_500 } } }],
  ["lag", { lag: { changes: unknown, ms: unknown } }],
  ["source.fence", { fence: { state: null, why: "Table 't' was rebuilt" } }],
  ["source.disk", { freeBytes: 1_000_000 }],
  ["verification", { cost: { dirtyRows: 0, dirtyChunks: 0, oldestProofMs: null } }],
  ["verification", { cost: { dirtyRows: 0, dirtyChunks: 0, oldestProofMs: 7_200_000 } }],
  ["verification", { different: 3 }],
  ["target.constraints", { facts: { ...facts, leftOut: [{ object: "fk on t", why: "orphans" }] } }],
  ["target.ready", { facts: { ...facts, unfinished: ["t"] } }],
  ["target.privileges", { facts: { ...facts, notOurs: ["public.t"] } }],
  ["way-back", { wayBack: { service: "standing-by", obstacles: ["wal_level is 'replica'"] } }],
  ["way-back", { wayBack: { service: "unreachable", obstacles: [] } }],
  ["pause", { prediction: { ms: 9_000, figures: [] } }],
])("the gate '%s' refuses what it is for, with a remedy", (id, bad) => {
  expect(refusals(preflight(good), [])).toEqual([]);
  const refused = refusals(preflight({ ...good, ...bad }), []);
  expect(refused.map((check) => check.id)).toEqual([id]);
  expect(refused[0]?.fix).not.toBe("");
});

it("passes over what an operator accepts by name, and over nothing else", () => {
  const bad = {
    ...good,
    facts: { ...facts, leftOut: [{ object: "fk", why: "orphans" }] },
    services: { source: "stopped", sink: "running" },
  };
  expect(refusals(preflight(bad), ["target.constraints", "services.running"]).map(({ id }) => id)).toEqual(["services.running"]);
});

it("predicts from the last rehearsal what it has measured, and says so", () => {
  const step = (name: "fencing" | "draining" | "checking" | "readying" | "undoing", ms: number, details = {}) => ({
    step: name,
    beganAt: "",
    ms,
    details,
  });
  const last = {
    id: 7,
    kind: "rehearsal" as const,
    state: "undone" as const,
    holder: "",
    heldSince: "",
    marker: "m" as never,
    position: null,
    pauseLimitMs: 5_000,
    pauseMs: 100,
    abortAsked: false,
    error: null,
    startedAt: "",
    finishedAt: "",
    steps: [step("fencing", 4), step("draining", 15), step("checking", 40, { rowsRead: 4_000 }), step("readying", 11), step("undoing", 9)],
  };
  const { figures, ms } = predictPause({ facts, lagMs, dirtyRows: 2_000, statements: 2, last });
  expect(figures.map((figure) => Math.round(figure.ms))).toEqual([18, 4, 15, 20, 11]);
  expect(ms).toBe(68);
  expect(figures[3]?.from).toBe("2000 rows at 100000 rows/s, measured by rehearsal 7");
});

it("prints a rollback with the sides exchanged", async () => {
  const back = { before: [], behind: ['LOCK TABLE "public"."t" IN SHARE ROW EXCLUSIVE MODE'], after: [] };
  const dry = { ready: back, numbers: [], tables: 3, dirtyRows: 2_000, advances: true, hooks: [], wayBack: true, isFileHeld: false };
  const steps = await planCutover({ group: theGroup, clock: systemClock, limits: defaultLimits }, { ...dry, advances: false }, "rollback");
  expect(steps).toMatchInlineSnapshot(`
    [
      {
        "does": [
          "target: nothing to be done before the pause",
        ],
        "step": "preparing",
      },
      {
        "does": [
          "waits until a row written at the target has come through the log into the source",
        ],
        "step": "opening",
      },
      {
        "does": [
          "target: tailrace.route says 'paused'; applications that follow it hold their writes",
        ],
        "step": "pausing",
      },
      {
        "does": [
          "target: one transaction refuses every write to 3 tables and notes the last position; it ends by itself after 2500 ms unless renewed",
        ],
        "step": "fencing",
      },
      {
        "does": [
          "waits until the source has applied everything up to that position",
        ],
        "step": "draining",
      },
      {
        "does": [
          "compares 2000 rows of both sides; a difference takes everything back",
        ],
        "step": "checking",
      },
      {
        "does": [
          "target: opens the transaction of the switch",
          "target: LOCK TABLE "public"."t" IN SHARE ROW EXCLUSIVE MODE",
        ],
        "step": "readying",
      },
      {
        "does": [
          "target: the fence stays until somebody takes it away; from here on only the route says which side is written to",
        ],
        "step": "keeping",
      },
      {
        "does": [
          "target: in the same transaction, the forward sink may commit again",
          "target: in the same transaction, tailrace.route says 'source'; COMMIT",
        ],
        "step": "switching",
      },
      {
        "does": [
          "source: the fence of the cutover is taken away, and numbers go on above those that PostgreSQL has given",
          "target: nothing to be done after it",
        ],
        "step": "switched",
      },
    ]
  `);
});

it("says of a file that one process has at a time how it is taken away and brought back", async () => {
  const nothing = { before: [], behind: [], after: [] };
  const dry = { ready: nothing, numbers: [], tables: 3, dirtyRows: 10, advances: false, hooks: [], wayBack: true, isFileHeld: true };
  const planned = async (kind: "cutover" | "rollback") =>
    new Map(
      (await planCutover({ group: theGroup, clock: systemClock, limits: defaultLimits }, dry, kind)).map(({ step, does }) => [step, does]),
    );
  const forth = await planned("cutover");
  expect(forth.get("opening")?.join()).toContain("has come into the log");
  expect(forth.get("fencing")?.join()).toContain("once the application has closed the file nobody can open it");
  expect(forth.get("keeping")).toEqual([
    expect.stringContaining("the file is put aside"),
    expect.stringContaining("that row has come into the source"),
  ]);
  const back = await planned("rollback");
  expect(back.get("fencing")?.join()).toContain("target: one transaction refuses every write");
  expect(back.get("switched")?.join()).toContain("takes its place again; the way back is closed");
});
