import { TailraceError } from "../../core/errors.js";
import { planCutover } from "../../services/cutover/dry-run.js";
import { predictPause } from "../../services/cutover/predict.js";
import { rollbackPreflight } from "../../services/cutover/rollback-preflight.js";
import { refusals } from "../../services/cutover/preflight.js";
import { runCutover } from "../../services/cutover/run-cutover.js";
import { answerOutcome } from "../cutover/answer.js";
import { type CutoverWork, lineFor, withCutover } from "../cutover/open.js";
import { lookBack } from "../cutover/look-back.js";
import { Stepper } from "../cutover/stepper.js";
import { checkLines, planLines } from "../cutover/text.js";
import { type ExitCode, exits } from "../exit-codes.js";
import { type Invocation, usage, type Verb } from "../invocation.js";
import { told } from "./cutover.js";

export const verb: Verb = (invocation) => {
  const [action] = invocation.words;
  switch (action) {
    case "plan":
      return withCutover(
        invocation,
        () => {},
        (open) => planned(invocation, open),
      );
    case "run":
      return run(invocation);
    case "status":
      return withCutover(
        invocation,
        () => {},
        (open) => told(invocation, open),
      );
    default:
      throw usage(`rollback knows plan, run and status, not '${action ?? ""}'`);
  }
};

const leftForTheFence = 200;

async function planned(invocation: Invocation, open: CutoverWork): Promise<ExitCode> {
  const { settings, plan, parts } = open;
  const facts = await lookBack(invocation, open);
  const checks = rollbackPreflight(facts);
  // What is known to have come back is compared before writes wait, all but the last of it.
  const dirtyRows = facts.isKnown ? Math.min(facts.cost.dirtyRows, leftForTheFence) : facts.cost.dirtyRows;
  const steps = await planCutover(
    parts,
    {
      ready: facts.ready,
      numbers: [],
      tables: plan.tables.length,
      dirtyRows,
      advances: facts.isKnown,
      wayBack: true,
      isFileHeld: settings.source.kind === "duckdb",
      hooks: settings.routes.hooks.map((hook) => (hook.kind === "command" ? hook.command.join(" ") : hook.url)),
    },
    "rollback",
  );
  const lagMs = { kind: "unknown", why: "the canary measures it" } as const;
  const prediction = predictPause({ facts: facts.facts, lagMs, dirtyRows, statements: facts.ready.behind.length, last: facts.lastBack });
  const refused = refusals(checks, []);
  invocation.out.answer({
    kind: "RollbackPlan",
    data: { pipeline: settings.pipeline, ok: refused.length === 0, checks, steps, prediction },
    next: refused.length === 0 ? [lineFor(open, "tailrace rollback run")] : [],
    text: (paint) => [...checkLines(checks, paint), "", ...planLines(steps, prediction, paint)].join("\n"),
  });
  return refused.length === 0 ? exits.done : exits.gateRefused;
}

async function run(invocation: Invocation): Promise<ExitCode> {
  using stepper = new Stepper(invocation.out, "rollback");
  return await withCutover(invocation, stepper.tell, async (open) => {
    const beforehand = async (): Promise<void> => {
      const [first, ...others] = refusals(rollbackPreflight(await lookBack(invocation, open)), []);
      if (first === undefined) return;
      const more = others.length === 0 ? "" : ` (and ${others.length} more: ${others.map(({ id }) => id).join(", ")})`;
      throw new TailraceError("cutover.refused", { what: `${first.what}${more}. ${first.fix}`, where: { check: first.id } });
    };
    const outcome = await runCutover(open.parts, "rollback", beforehand, invocation.signal);
    return answerOutcome(invocation, open, { outcome, kind: "rollback" });
  });
}
