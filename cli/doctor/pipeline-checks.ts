/** Log, target and data: reachable, as they must be, and able to hold what the source has. Read-only. */
import { openRegistry } from "../../schemas/registry/open-registry.js";
import type { Target } from "../../core/contracts/target.js";
import { asTailraceError } from "../../core/errors.js";
import type { Finding } from "../../core/plan/finding.js";
import type { Settings } from "../../core/settings.js";
import { plural } from "../output/format.js";
import { describeLog, describeTarget } from "../pipeline/places.js";
import { refusalsOf } from "../pipeline/plan-text.js";
import { existingTopics, type Proposal, specsOf, surveyOf, withLog } from "../pipeline/proposal.js";
import type { Survey } from "../pipeline/survey.js";
import { withTarget } from "../pipeline/target.js";
import { type Check, found, passed } from "./check.js";
import { failed } from "./failed.js";
import { wayBackChecks } from "./way-back-checks.js";

export interface PipelineChecksOptions {
  readonly census: boolean;
  readonly onStep: (what: string) => void;
}

export async function pipelineChecks(settings: Settings, options: PipelineChecksOptions, signal: AbortSignal): Promise<readonly Check[]> {
  const survey = await trySurvey(settings, options, signal);
  if ("severity" in survey) return [survey, await logCheck(settings, null, signal), ...(await targetChecks(settings, null, signal))];
  return [
    ...dataChecks(survey),
    await logCheck(settings, survey, signal),
    ...(await targetChecks(settings, survey, signal)),
    ...(await wayBackChecks(settings, survey.plan, signal)),
  ];
}

async function trySurvey(settings: Settings, options: PipelineChecksOptions, signal: AbortSignal): Promise<Survey | Check> {
  try {
    return await surveyOf(settings, { ...options, now: new Date(), applied: null }, signal);
  } catch (thrown) {
    signal.throwIfAborted();
    return failed({ id: "data.census", group: "data", where: settings.source.path }, thrown);
  }
}

const severities = { error: "error", warning: "warn", note: "info" } as const;

function dataChecks(survey: Survey): readonly Check[] {
  // Tables that are left out are said by the checks of the source.
  const told = survey.findings.filter(({ severity, code }) => severity !== "note" && code !== "table.left-out");
  const refusals = refusalsOf({ survey } as Proposal);
  const place = { id: "data.values", group: "data" as const, where: "" };
  const census =
    survey.censuses === null
      ? []
      : refusals.length > 0
        ? refusals.map(({ table, column, code, reason, count }) =>
            found({ ...place, where: `${table}.${column}` }, "error", {
              what: `${plural(count, "value")}: ${reason}`,
              why: "the pipeline would stop at the first of them",
              fix: "mend the values at the source, or give the column another `type` in `tables:`",
              code,
            }),
          )
        : [passed({ ...place, where: plural(survey.censuses.size, "table") }, "every value that is there now fits its target column")];
  return [...told.map(fromFinding), ...census];
}

const fromFinding = ({ severity, code, table, column, what, remedy, count }: Finding): Check =>
  found({ id: "data.mapping", group: "data", where: column === undefined ? table : `${table}.${column}` }, severities[severity], {
    what: count === undefined ? what : `${what} (${count})`,
    why: severity === "error" ? "the table cannot be moved like this" : "the target will not be the same in this point",
    fix: remedy === "" ? "nothing, if that is wanted" : remedy,
    code,
  });

async function logCheck(settings: Settings, survey: Survey | null, signal: AbortSignal): Promise<Check> {
  const place = { id: "log.reachable", group: "log" as const, where: describeLog(settings) };
  // Asking must not create the file.
  if (settings.log.kind === "embedded") return passed(place, "the embedded log needs nothing");
  try {
    const topics = survey === null ? [] : await existingTopics(settings, specsOf(settings, survey), signal);
    await registryProbe(settings, signal);
    const there = topics.filter(({ exists }) => exists).length;
    return passed(place, `answers; ${there} of ${plural(topics.length, "topic")} exist`);
  } catch (thrown) {
    signal.throwIfAborted();
    return failed(place, thrown);
  }
}

/** A number that no registry gives out: one that speaks our protocol says that it does not know it. */
async function registryProbe(settings: Settings, signal: AbortSignal): Promise<void> {
  if (settings.log.kind !== "kafka" || settings.log.registry === null) return;
  const { registry } = settings.log;
  await withLog(settings, "doctor", async (store) => {
    try {
      await openRegistry(registry, { store, prefix: settings.prefix }).schemaById(2_147_483_647, signal);
    } catch (thrown) {
      if (asTailraceError(thrown).code !== "registry.unknown-schema") throw thrown;
    }
  });
}

async function targetChecks(settings: Settings, survey: Survey | null, signal: AbortSignal): Promise<readonly Check[]> {
  const where = describeTarget(settings);
  try {
    return await withTarget(settings, signal, async (target) => [
      passed({ id: "target.connects", group: "target", where }, "answers; version, encoding and login are right"),
      await tablesCheck(target, survey, where, signal),
    ]);
  } catch (thrown) {
    signal.throwIfAborted();
    return [failed({ id: "target.connects", group: "target", where }, thrown)];
  }
}

async function tablesCheck(target: Target, survey: Survey | null, where: string, signal: AbortSignal): Promise<Check> {
  const place = { id: "target.tables", group: "target" as const, where };
  if (survey === null)
    return found(place, "info", { what: "not looked at", why: "the source could not be read", fix: "mend the source first" });
  try {
    const sql = await target.preview(survey.plan, signal);
    return passed(
      place,
      sql.length === 0
        ? "tables and state are as planned"
        : `apply has ${plural(sql.length, "statement")} to execute, and nothing stands in the way`,
    );
  } catch (thrown) {
    signal.throwIfAborted();
    return failed(place, thrown);
  }
}
