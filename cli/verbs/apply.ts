import { exits } from "../exit-codes.js";
import type { Verb } from "../invocation.js";
import { plural } from "../output/format.js";
import { applyPipeline } from "../pipeline/apply.js";

export const verb: Verb = async (invocation) => {
  const { settings } = await invocation.settings();
  const { proposal, sourceSql } = await applyPipeline(invocation, settings, { setWal: invocation.options.flag("setWal") });
  const { survey, targetSql, topics, differences } = proposal;
  const created = topics.filter(({ exists }) => !exists).map(({ topic }) => topic);
  const changed = targetSql.length > 0 || created.length > 0 || sourceSql.length > 0;
  const { leftOut } = survey;
  invocation.out.answer({
    kind: "Apply",
    data: {
      pipeline: settings.pipeline,
      changed,
      tables: survey.plan.tables.map(({ source, target }) => ({ source, target: `${target.schema}.${target.name}` })),
      leftOut,
      differences,
      executed: { target: targetSql, topics: created, source: sourceSql },
    },
    next: ["tailrace run", "tailrace status"],
    text: (paint) => {
      const lines = [
        changed
          ? `${paint.green("applied")} ${settings.pipeline}: ${plural(survey.plan.tables.length, "table")}`
          : `${settings.pipeline}: nothing to do, ${plural(survey.plan.tables.length, "table")} as applied before`,
      ];
      if (changed)
        lines.push(
          `  target ${plural(targetSql.length, "statement")}, log ${plural(created.length, "new topic")}, source ${plural(sourceSql.length, "statement")}`,
        );
      for (const { table, reason } of leftOut) lines.push(`  ${paint.yellow("left out")} ${table}: ${reason}`);
      return lines.join("\n");
    },
  });
  return exits.done;
};
