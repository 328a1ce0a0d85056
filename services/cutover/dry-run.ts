/**
 * A second implementation of every act, that only says what it would do. The same engine runs over it, so the order of the plan is the order of the
 * cutover, whatever becomes of the engine. Text and order are stable: two plans can be compared.
 */
import type {
  CutoverDesk,
  CutoverRecord,
  CutoverSession,
  FinalCheck,
  GivenNumber,
  ReadyPlan,
  RouteState,
  SourceFence,
  SwitchBoard,
  WayBack,
} from "../../core/contracts/cutover.js";
import { type CutoverKind, type CutoverState, sidesOf } from "../../core/cutover/states.js";
import { TailraceError } from "../../core/errors.js";
import { markerId } from "../../core/vocabulary/ids.js";
import { position } from "../../core/vocabulary/position.js";
import type { CutoverParts } from "./parts.js";
import { runCutover } from "./run-cutover.js";

export interface PlannedStep {
  readonly step: CutoverState;
  readonly does: readonly string[];
}
export interface DryFacts {
  readonly ready: ReadyPlan;
  readonly numbers: readonly GivenNumber[];
  readonly tables: number;
  readonly dirtyRows: number;
  /** A proof is brought up to date before the pause. */
  readonly advances: boolean;
  readonly hooks: readonly string[];
  /** False: the operator goes without. */
  readonly wayBack: boolean;
  /** The source is a file that one process has at a time, so it is taken away from writers as a whole. */
  readonly isFileHeld: boolean;
}

const at = position(0, 0);
const marker = markerId("dry-run");

export async function planCutover(
  parts: Pick<CutoverParts, "group" | "clock" | "limits">,
  facts: DryFacts,
  kind: CutoverKind,
): Promise<readonly PlannedStep[]> {
  const script = new Script(kind);
  const outcome = await runCutover(
    {
      ...parts,
      holder: "dry-run",
      fence: dryFence(script, facts, parts.limits.leaseMs),
      back: {
        fence: dryFence(script, facts, parts.limits.leaseMs),
        check: dryCheck(script, facts),
        passed: (session) => session.passed(),
        forget: () => Promise.resolve([]),
        arrive: () => {
          script.does(
            facts.isFileHeld
              ? "source: the file is copied, which says what both sides hold, and takes its place again; the way back is closed"
              : "source: the fence of the cutover is taken away, and numbers go on above those that PostgreSQL has given",
          );
          return Promise.resolve();
        },
      },
      numbers: { given: () => facts.numbers, [Symbol.dispose]: () => {} },
      desk: dryDesk(script, facts),
      check: dryCheck(script, facts),
      hooks: {
        tell: ({ side }) => {
          for (const hook of facts.hooks) script.does(`tells ${hook} that the route is '${side}'`);
          return Promise.resolve();
        },
      },
      wayBack: facts.wayBack ? dryWayBack(script, facts) : null,
      newMarker: () => marker,
      tell: (progress) => {
        if (progress.kind === "begins") script.begins(progress.step);
      },
      at: () => Promise.resolve(),
    },
    kind,
    () => Promise.resolve(),
    new AbortController().signal,
  );
  if (outcome.kind === "undone" || outcome.kind === "half-way") {
    throw new TailraceError("internal", { what: `the plan of a cutover ends as ${outcome.kind}`, cause: outcome.error });
  }
  return script.steps;
}

class Script {
  readonly steps: { readonly step: CutoverState; readonly does: string[] }[] = [];
  state: CutoverState = "preparing";
  readonly sides: ReturnType<typeof sidesOf>;
  route: RouteState;

  constructor(readonly kind: CutoverKind) {
    this.sides = sidesOf(kind);
    this.route = { side: this.sides.from, version: 0 };
  }

  begins(step: CutoverState): void {
    this.steps.push({ step, does: [] });
  }
  statements(list: readonly string[], when: string): readonly string[] {
    if (list.length === 0) this.does(`target: nothing to be done ${when}`);
    for (const statement of list) this.does(`target: ${statement}`);
    return list;
  }
  does(what: string): void {
    this.steps.at(-1)?.does.push(what);
  }
}

function dryCheck(script: Script, facts: DryFacts): FinalCheck {
  return {
    advance: () => {
      if (facts.advances) script.does("compares what has changed since the last proof, while writes go on");
      return Promise.resolve(0);
    },
    cost: () => Promise.resolve({ dirtyRows: facts.dirtyRows, dirtyChunks: 0, oldestProofMs: 0 }),
    check: () => {
      script.does(`compares ${facts.dirtyRows} rows of both sides; a difference takes everything back`);
      return Promise.resolve({ equal: true, rowsRead: facts.dirtyRows, different: 0 });
    },
  };
}

function dryFence(script: Script, facts: DryFacts, leaseMs: number): SourceFence {
  const leased = { kind: "leased", marker, at, untilMs: 0 } as const;
  const isFile = facts.isFileHeld && script.sides.from === "source";
  return {
    prove: () => Promise.resolve(),
    fence: () => {
      script.does(
        isFile
          ? `source: once the application has closed the file nobody can open it, and it is compared for the last time; that ends by itself after ${leaseMs} ms unless renewed`
          : `${script.sides.from}: one transaction refuses every write to ${facts.tables} tables and notes the last position; it ends by itself after ${leaseMs} ms unless renewed`,
      );
      return Promise.resolve(leased);
    },
    renew: () => Promise.resolve(leased),
    keep: () => {
      script.does(
        isFile
          ? "source: the file is put aside, and a text that DuckDB refuses to open takes its place until somebody brings it back; from here on only the route says which side is written to"
          : `${script.sides.from}: the fence stays until somebody takes it away; from here on only the route says which side is written to`,
      );
      return Promise.resolve({ kind: "kept", marker, at });
    },
    release: () => {
      script.does(`${script.sides.from}: takes writes again`);
      return Promise.resolve();
    },
    state: () => Promise.resolve({ kind: "open" }),
    [Symbol.dispose]: () => {},
  };
}

function dryWayBack(script: Script, { tables, isFileHeld }: DryFacts): WayBack {
  const isHeld = isFileHeld && script.kind !== "rollback";
  return {
    obstacles: () => Promise.resolve([]),
    isOpen: () => Promise.resolve(true),
    open: () => {
      script.does("source: `_cdc_applied` takes note of what comes back; the log gets topics for it");
      script.does(
        `target: a publication of ${tables} tables, whole old rows in its log where they hold large values, and a replication slot`,
      );
      return Promise.resolve(at);
    },
    prove: () => {
      script.does(
        isHeld
          ? "waits until a row written at the target has come into the log: the file is the application's still"
          : "waits until a row written at the target has come through the log into the source",
      );
      return Promise.resolve();
    },
    land: () => {
      if (isHeld) script.does("waits until that row has come into the source; otherwise everything is taken back");
      return Promise.resolve();
    },
    close: () => {
      if (script.kind === "rehearsal") script.does("target: drops slot and publication");
      return Promise.resolve([]);
    },
  };
}

function dryDesk(script: Script, facts: DryFacts): CutoverDesk {
  const refuse = (): never => {
    throw new TailraceError("internal", { what: "a plan asks for what it was told already" });
  };
  return {
    last: () => Promise.resolve(null),
    route: () => Promise.resolve(script.route),
    facts: refuse,
    readyPlan: () => Promise.resolve(facts.ready),
    returnPlan: () => Promise.resolve(facts.ready),
    askToAbort: refuse,
    take: () => Promise.resolve(drySession(script, facts)),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

function drySession(script: Script, { ready }: DryFacts): CutoverSession {
  let record: CutoverRecord | null = null;
  const onSwitched = (): void => {
    if (record !== null) record = { ...record, state: "switched" };
  };
  return {
    get record() {
      return record;
    },
    board: dryBoard(script, ready, onSwitched),
    begin: ({ kind, pauseLimitMs }) => {
      const common = {
        holder: "dry-run",
        heldSince: "",
        position: null,
        pauseMs: null,
        abortAsked: false,
        error: null,
        startedAt: "",
        finishedAt: null,
      };
      record = { ...common, id: 0, kind, marker, pauseLimitMs, state: "preparing" };
      return Promise.resolve(record);
    },
    move: (to) => {
      if (record === null) throw new TailraceError("internal", { what: "a plan moves before it began" });
      record = { ...record, state: to };
      return Promise.resolve(record);
    },
    abortAsked: () => Promise.resolve(false),
    passed: () => {
      script.does(`waits until the ${script.sides.to} has applied everything up to that position`);
      return Promise.resolve({ position: at, marker, settled: true });
    },
    prepare: () => Promise.resolve(script.statements(ready.before, "before the pause")),
    given: () => Promise.resolve([]),
    unprepare: () => {
      if (script.kind === "rehearsal" && ready.before.length > 0) script.does("target: drops the indexes that waited for the switch");
      return Promise.resolve([]);
    },
    validate: () => {
      script.statements(ready.after, "after it");
      return Promise.resolve([]);
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

function dryBoard(script: Script, ready: ReadyPlan, onSwitched: () => void): SwitchBoard {
  const moveRoute = (side: RouteState["side"], says: string): Promise<RouteState> => {
    script.route = { side, version: script.route.version + 1 };
    script.does(says);
    return Promise.resolve(script.route);
  };
  return {
    route: () => Promise.resolve(script.route),
    pause: () => moveRoute("paused", "target: tailrace.route says 'paused'; applications that follow it hold their writes"),
    reopen: () => moveRoute(script.sides.from, `target: tailrace.route says '${script.sides.from}'; applications go on where they were`),
    begin: () => {
      script.does("target: opens the transaction of the switch");
      const did = script.statements(ready.behind, "in it");
      return Promise.resolve({
        did,
        commit: () => {
          onSwitched();
          const { to } = script.sides;
          script.does(
            to === "target"
              ? "target: in the same transaction, no forward sink can commit any more"
              : "target: in the same transaction, the forward sink may commit again",
          );
          return moveRoute(to, `target: in the same transaction, tailrace.route says '${to}'; COMMIT`);
        },
        [Symbol.asyncDispose]: () => {
          if (script.kind === "rehearsal") script.does("target: rolls it back");
          return Promise.resolve();
        },
      });
    },
  };
}
