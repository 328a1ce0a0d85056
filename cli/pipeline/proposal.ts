/**
 * What `apply` would do, gathered without changing anything: the plan, the SQL on both sides, the topics, and everything that stands in the
 * way. `plan` prints it, `doctor` judges it, `apply` does it, so the three can never disagree.
 */
import { openLog } from "../../connectors/open-log.js";
import { systemClock } from "../../core/clock.js";
import type { LogStore, TopicSpec } from "../../core/contracts/log-store.js";
import type { Target } from "../../core/contracts/target.js";
import { comparePlans, type PlanDifference } from "../../core/plan/diff-plan.js";
import type { Settings } from "../../core/settings.js";
import { topicSpecs } from "../../core/topics.js";
import type { TableId } from "../../core/vocabulary/ids.js";
import { installedTables, openInspector, openInstaller } from "./source.js";
import { type Survey, surveySource } from "./survey.js";

export interface Proposal {
  readonly survey: Survey;
  /** Against the plan that is applied; every table is `added` when there is none. */
  readonly differences: readonly PlanDifference[];
  readonly sourceSql: readonly string[];
  readonly targetSql: readonly string[];
  readonly topics: readonly { readonly topic: string; readonly exists: boolean }[];
}
export interface ProposalOptions {
  readonly census: boolean;
  readonly now: Date;
  readonly onStep: (what: string) => void;
}

export async function propose(settings: Settings, target: Target, options: ProposalOptions, signal: AbortSignal): Promise<Proposal> {
  const applied = await target.plan(signal);
  const survey = await surveyOf(settings, { ...options, applied }, signal);
  const specs = specsOf(settings, survey);
  options.onStep("asking the target");
  const targetSql = await target.preview(survey.plan, signal);
  options.onStep("asking the log");
  const topics = await existingTopics(settings, specs, signal);
  const differences = comparePlans(applied ?? { ...survey.plan, tables: [] }, survey.plan);
  return { survey, differences, sourceSql: installerSql(settings, survey), targetSql, topics };
}

/** A topic stays for as long as the capture log may hold changes of its table. */
export const specsOf = (settings: Settings, survey: Survey): readonly TopicSpec[] =>
  topicSpecs(settings.prefix, [...new Set([...survey.plan.tables.map(({ source }) => source), ...installedTables(settings)])]);

export async function surveyOf(
  settings: Settings,
  options: ProposalOptions & { readonly applied: Awaited<ReturnType<Target["plan"]>> },
  signal: AbortSignal,
): Promise<Survey> {
  await using inspector = await openInspector(settings, signal);
  return await surveySource(inspector, settings, {
    applied: options.applied,
    census: options.census,
    now: options.now,
    onTable: (table: TableId, doing) => options.onStep(`${doing === "census" ? "trying the mapping on" : "looking at"} ${table}`),
  });
}

function installerSql(settings: Settings, survey: Survey): readonly string[] {
  using open = openInstaller(settings);
  return open.plan(survey.captured);
}

export async function withLog<T>(settings: Settings, verb: string, work: (store: LogStore) => Promise<T>): Promise<T> {
  await using store = await openLog(settings.log, `${settings.prefix}-${verb}`, systemClock);
  return await work(store);
}

export async function existingTopics(settings: Settings, specs: readonly TopicSpec[], signal: AbortSignal): Promise<Proposal["topics"]> {
  const names = specs.map(({ topic }) => topic);
  const there = await withLog(settings, "plan", (store) => store.existing(names, signal));
  return names.map((topic) => ({ topic, exists: there.has(topic) }));
}
