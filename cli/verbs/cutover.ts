import { TailraceError } from "../../core/errors.js";
import { type CutoverKind, isFinished } from "../../core/cutover/states.js";
import { planCutover } from "../../services/cutover/dry-run.js";
import { type PreflightFacts, preflight, refusals } from "../../services/cutover/preflight.js";
import { runCutover, settleLeft } from "../../services/cutover/run-cutover.js";
import { answerOutcome } from "../cutover/answer.js";
import { finish } from "../cutover/finish.js";
import { look } from "../cutover/look.js";
import { acceptedChecks, type CutoverWork, lineFor, withCutover } from "../cutover/open.js";
import { prove } from "../cutover/prove.js";
import { reopen } from "../cutover/reopen.js";
import { Stepper } from "../cutover/stepper.js";
import { checkLines, planLines, storyLines } from "../cutover/text.js";
import { type ExitCode, exits } from "../exit-codes.js";
import { type Invocation, usage, type Verb } from "../invocation.js";

export const verb: Verb = (invocation) => {
  const [action] = invocation.words;
  switch (action) {
    case "preflight":
      return withCutover(
        invocation,
        () => {},
        (open) => judged(invocation, open),
      );
    case "plan":
      return withCutover(
        invocation,
        () => {},
        (open) => planned(invocation, open),
      );
    case "rehearse":
      return run(invocation, "rehearsal");
    case "run":
      return run(invocation, "cutover");
    case "abort":
      return abort(invocation);
    case "status":
      return withCutover(
        invocation,
        () => {},
        (open) => told(invocation, open),
      );
    case "finish":
      return finish(invocation);
    case "reopen":
      return reopen(invocation);
    default:
      throw usage(`cutover knows preflight, plan, rehearse, run, abort, status, reopen and finish, not '${action ?? ""}'`);
  }
};

async function judged(invocation: Invocation, open: CutoverWork): Promise<ExitCode> {
  const { settings } = open;
  const facts = await look(invocation, open);
  const checks = preflight(facts);
  const refused = refusals(checks, acceptedChecks(invocation));
  invocation.out.answer({
    kind: "CutoverPreflight",
    data: { pipeline: settings.pipeline, ok: refused.length === 0, checks, prediction: facts.prediction },
    next: refused.length === 0 ? [lineFor(open, "tailrace cutover plan"), lineFor(open, "tailrace cutover rehearse")] : [],
    text: (paint) => checkLines(checks, paint).join("\n"),
  });
  return refused.length === 0 ? exits.done : exits.gateRefused;
}

async function planned(invocation: Invocation, open: CutoverWork): Promise<ExitCode> {
  const { settings, plan, parts } = open;
  const facts = await look(invocation, open);
  const steps = await planCutover(
    parts,
    {
      ready: facts.ready,
      numbers: facts.numbers,
      tables: plan.tables.length,
      dirtyRows: facts.cost.dirtyRows,
      advances: true,
      wayBack: facts.wayBack !== null,
      isFileHeld: settings.source.kind === "duckdb",
      hooks: settings.routes.hooks.map((hook) => (hook.kind === "command" ? hook.command.join(" ") : hook.url)),
    },
    "cutover",
  );
  invocation.out.answer({
    kind: "CutoverPlan",
    data: { pipeline: settings.pipeline, steps, prediction: facts.prediction },
    next: [lineFor(open, "tailrace cutover rehearse"), lineFor(open, "tailrace cutover run")],
    text: (paint) => planLines(steps, facts.prediction, paint).join("\n"),
  });
  return exits.done;
}

async function run(invocation: Invocation, kind: CutoverKind): Promise<ExitCode> {
  using stepper = new Stepper(invocation.out);
  return await withCutover(invocation, stepper.tell, async (open) => {
    const { parts, verifier } = open;
    const beforehand = async (): Promise<void> => {
      const facts = await look(invocation, open);
      refuse(invocation, facts, unproven);
      if (await prove(verifier, facts.different ?? 0, invocation.signal))
        invocation.out.note("both sides were compared as a whole, so that little is left for the pause");
      refuse(invocation, await look(invocation, open));
    };
    const outcome = await runCutover(parts, kind, beforehand, invocation.signal);
    return answerOutcome(invocation, open, { outcome, kind });
  });
}

/** Gates that a proof, which is about to be made, opens. */
const unproven = ["verification", "pause"];

function refuse(invocation: Invocation, facts: PreflightFacts, later: readonly string[] = []): void {
  const [first, ...others] = refusals(preflight(facts), acceptedChecks(invocation)).filter(({ id }) => !later.includes(id));
  if (first === undefined) return;
  const more = others.length === 0 ? "" : ` (and ${others.length} more: ${others.map(({ id }) => id).join(", ")})`;
  throw new TailraceError("cutover.refused", { what: `${first.what}${more}. ${first.fix}`, where: { check: first.id } });
}

async function abort(invocation: Invocation): Promise<ExitCode> {
  using stepper = new Stepper(invocation.out);
  return await withCutover(invocation, stepper.tell, async (open) => {
    const { parts, settings } = open;
    const { desk, group } = parts;
    const last = await desk.last(group, invocation.signal);
    const asked = await desk.askToAbort(group, invocation.signal);
    const why = new TailraceError("cutover.aborted", { what: "The cutover was given up by `tailrace cutover abort`" });
    try {
      const outcome = await settleLeft(parts, why, invocation.signal);
      if (outcome !== null) return answerOutcome(invocation, open, { outcome, kind: last?.kind ?? "cutover", whenUndone: exits.done });
    } catch (thrown) {
      // Its holder lives and will see what was asked.
      if (!(thrown instanceof TailraceError) || thrown.code !== "cutover.held") throw thrown;
    }
    const reopened = asked ? false : await reopenLeft(invocation, open);
    invocation.out.answer({
      kind: "CutoverAbort",
      data: { pipeline: settings.pipeline, asked, reopened },
      next: [lineFor(open, "tailrace cutover status")],
      text: () =>
        asked ? "asked its holder to go back" : reopened ? "a fence without a cutover was taken away" : "there is no cutover to give up",
    });
    return exits.done;
  });
}

/** A fence that no unfinished cutover answers for, while the route says that the source is the one. */
async function reopenLeft({ signal }: Invocation, { parts }: CutoverWork): Promise<boolean> {
  const { desk, group, fence } = parts;
  const state = await fence.state(group);
  const route = await desk.route(group, signal);
  if (state.kind === "open" || route.side !== "source") return false;
  await fence.release(group, state.marker);
  return true;
}

export async function told(invocation: Invocation, open: CutoverWork): Promise<ExitCode> {
  const { settings, parts } = open;
  const { desk, group } = parts;
  const now = {
    route: await desk.route(group, invocation.signal),
    fence: await parts.fence.state(group),
    targetFence: await parts.back.fence.state(group),
    last: await desk.last(group, invocation.signal),
  };
  const isOpen = now.last !== null && !isFinished(now.last.state);
  invocation.out.answer({
    kind: "CutoverStatus",
    data: { pipeline: settings.pipeline, ...now },
    next: isOpen
      ? [`tailrace ${now.last?.kind === "rollback" ? "rollback" : "cutover"} run`, "tailrace cutover abort"].map((line) =>
          lineFor(open, line),
        )
      : [],
    text: (paint) => storyLines(now, paint).join("\n"),
  });
  return exits.done;
}
