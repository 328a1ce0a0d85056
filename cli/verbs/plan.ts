import { exits } from "../exit-codes.js";
import type { Invocation, Verb } from "../invocation.js";
import { describeLog, describeTarget } from "../pipeline/places.js";
import { type Proposal, propose } from "../pipeline/proposal.js";
import { gates } from "../pipeline/survey.js";
import { withTarget } from "../pipeline/target.js";
import { planData, planText } from "../pipeline/plan-text.js";
import type { Settings } from "../../core/settings.js";

export const verb: Verb = async (invocation) => {
  const { settings } = await invocation.settings();
  const { options, out, signal } = invocation;
  const proposal = await withTarget(settings, signal, (target) =>
    propose(settings, target, { census: options.flag("census"), now: new Date(), onStep: (what) => out.event("step", { what }) }, signal),
  );
  if (options.flag("printSql")) printSql(invocation, settings, proposal);
  else answer(invocation, settings, proposal);
  return gates(proposal.survey).length > 0 ? exits.gateRefused : exits.done;
};

function answer({ out }: Invocation, settings: Settings, proposal: Proposal): void {
  const refused = gates(proposal.survey).length > 0;
  const places = { source: settings.source.path, log: describeLog(settings), target: describeTarget(settings) };
  out.answer({
    kind: "Plan",
    data: { pipeline: settings.pipeline, places, ...planData(proposal, settings.prefix) },
    next: refused ? ["tailrace explain plan.refused"] : ["tailrace apply"],
    text: (paint) => planText(proposal, { pipeline: settings.pipeline, prefix: settings.prefix, places }, paint),
  });
}

function printSql({ out }: Invocation, settings: Settings, { sourceSql, targetSql }: Proposal): void {
  if (out.format === "json") {
    out.answer({
      kind: "PlanSql",
      data: { pipeline: settings.pipeline, source: sourceSql, target: targetSql },
      next: ["tailrace apply"],
      text: () => "",
    });
    return;
  }
  const section = (title: string, sql: readonly string[]): string =>
    [`-- ${title}`, ...(sql.length === 0 ? ["-- nothing to do"] : sql.map((one) => `${one.trimEnd().replace(/;$/, "")};`))].join("\n");
  out.streams.stdout.write(
    `${section(`target: ${describeTarget(settings)}`, targetSql)}\n\n${section(`source: ${settings.source.path}`, sourceSql)}\n`,
  );
}
