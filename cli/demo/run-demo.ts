/**
 * The whole path on made-up data. Promises: what it prints was measured in this run; whatever happens, its processes end and its files go.
 * Nothing of it is a shortcut: the same settings, the same apply, the same supervised services as for a real database.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { removeEmbeddedPostgres } from "../../connectors/postgres/embedded.js";
import { systemClock } from "../../core/clock.js";
import { TailraceError } from "../../core/errors.js";
import type { Settings } from "../../core/settings.js";
import { timeLimit } from "../../core/time-limit.js";
import { ownCommand } from "../host/command.js";
import { supervisedView } from "../host/run-supervised.js";
import type { Invocation } from "../invocation.js";
import { formatCount, formatMs, plural } from "../output/format.js";
import { Output } from "../output/output.js";
import { applyPipeline } from "../pipeline/apply.js";
import { catchUp } from "../pipeline/catch-up.js";
import { holdTargetPlace, type TargetPlace } from "../pipeline/target.js";
import { loadSettings } from "../settings/load-settings.js";
import { movers } from "../supervisor/messages.js";
import { Supervisor } from "../supervisor/supervisor.js";
import { PaceKeeper } from "../watch/pace.js";
import { bar, snapshotSums } from "../watch/render-view.js";
import { Application } from "./application.js";
import { type BroughtHome, bringHome } from "./bring-home.js";
import type { TableComparison } from "./compare.js";
import { Onlooker, type Seen } from "./onlooker.js";
import { Stage } from "./stage.js";
import type { Story } from "./story.js";
import { type SwitchedOver, switchOver } from "./switch-over.js";
import { type DemoVerification, demonstrateVerification } from "./verification.js";

export interface DemoOptions {
  readonly story: Story;
  readonly seconds: number;
  readonly rows: number;
  readonly keep: boolean;
}
export interface DemoResult {
  readonly directory: string | null;
  readonly snapshot: { readonly rows: number; readonly ms: number };
  readonly streaming: Seen;
  readonly verification: DemoVerification;
  readonly catchUpMs: number;
  readonly tables: readonly TableComparison[];
  readonly transactions: { readonly source: number; readonly target: number };
  /** null: its application is not switched over. */
  readonly moved: ThereAndBack | null;
  readonly ms: number;
}

interface ThereAndBack {
  readonly cutover: SwitchedOver;
  readonly rollback: BroughtHome;
}

const patienceMs = 120_000;
/** Between the numbers of two applications: the last of the first may have been written and not told. */
const gap = 1_000;

export async function runDemo(invocation: Invocation, options: DemoOptions): Promise<DemoResult> {
  const startedMs = systemClock.monotonicMs();
  const directory = mkdtempSync(join(tmpdir(), "tailrace-demo-"));
  const stage = new Stage(invocation.out, systemClock);
  try {
    const told = await perform(invocation, options, directory, stage);
    return { ...told, directory: options.keep ? directory : null, ms: systemClock.monotonicMs() - startedMs };
  } finally {
    if (!options.keep) {
      await removeEmbeddedPostgres(join(directory, ".tailrace", "postgres"));
      rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
    }
  }
}

type Told = Omit<DemoResult, "directory" | "ms">;

async function perform(invocation: Invocation, options: DemoOptions, directory: string, stage: Stage): Promise<Told> {
  const { story } = options;
  const file = join(directory, story.file);
  stage.title(story.title);
  await stage.step("database", async () => ({ said: await story.create(file, options.rows), value: null }));
  await using application = await stage.step("application", () =>
    Promise.resolve({
      said: `a process of its own: ${story.perSecond} transactions/s, ${story.does}`,
      value: Application.start(story.program, file, { rows: options.rows, perSecond: story.perSecond }),
    }),
  );
  const settings = writeSettings(directory, story);
  await using place = await stage.step("embedded PostgreSQL", async (say) => {
    say("initdb and start, for this demo only");
    return { said: "running on 127.0.0.1, for this demo only", value: await holdTargetPlace(settings) };
  });
  await stage.step("tailrace apply", async () => {
    const quiet = new Output(invocation.out.streams, "table", "none", true);
    const { proposal, sourceSql } = await applyPipeline({ ...invocation, out: quiet }, settings, { setWal: false });
    const said = `${plural(proposal.survey.plan.tables.length, "table")} planned, ${plural(sourceSql.length, "statement")} in the source, ${plural(proposal.topics.length, "topic")}`;
    return { said, value: null };
  });
  return await follow({ invocation, options, settings, place, application, stage, file });
}

function writeSettings(directory: string, story: Story): Settings {
  const file = join(directory, "tailrace.yaml");
  writeFileSync(file, `pipeline: shop\n${story.settings}http: { listen: 127.0.0.1:0 }\n`);
  return loadSettings(file, {}).settings;
}

interface Scene {
  readonly invocation: Invocation;
  readonly options: DemoOptions;
  readonly settings: Settings;
  readonly place: TargetPlace;
  readonly application: Application;
  readonly stage: Stage;
  readonly file: string;
}

/** Services run from here on; they are stopped in any case. */
async function follow(scene: Scene): Promise<Told> {
  const { invocation, settings, stage, application, options } = scene;
  const { story } = options;
  const stop = new AbortController();
  const supervisor = new Supervisor({
    command: ownCommand("run", "-c", join(settings.stateDirectory, "..", "tailrace.yaml")),
    clock: systemClock,
    roles: [...movers, "reverse"],
    onLine: (role, line) => {
      if (invocation.globals.verbose || line.includes('"level":"error"')) invocation.out.note(`    ${role}: ${line}`);
    },
    onChange: () => {},
  });
  const running = supervisor.run(AbortSignal.any([invocation.signal, stop.signal]));
  try {
    const snapshot = await stage.step("snapshot", (say) => untilStreaming(scene, supervisor, say));
    await stage.step("indexes, backlog", async (say) => {
      say("the target builds indexes and foreign keys, then takes what was written meanwhile");
      const { ms } = await patiently(invocation.signal, (signal) => catchUp(settings, { seen: () => {} }, signal));
      return { said: "built, and caught up with the application", value: ms };
    });
    const streaming = await stage.step("streaming", (say) => stream(scene, supervisor, say));
    const verification = await patiently(invocation.signal, (signal) =>
      demonstrateVerification({ settings, url: scene.place.url, stage, tampering: story.tampering }, signal),
    );
    await application.stop();
    const catchUpMs = await stage.step("writer stopped", async (say) => {
      say("waiting until the target has applied the last commit");
      const { ms } = await patiently(invocation.signal, (signal) => catchUp(settings, { seen: () => {} }, signal));
      return { said: `everything is there ${formatMs(ms)} later`, value: ms };
    });
    const tables = await stage.step("comparing", async (say) => {
      say("every row, every value, both sides");
      const value = await story.compare(scene.file, scene.place.url);
      const rows = value.reduce((sum, table) => sum + table.sourceRows, 0);
      return { said: `${value.filter(isEqual).length} of ${value.length} tables equal, ${formatCount(rows)} rows, every value`, value };
    });
    const numbered = tables.find(({ table }) => table === story.numbered);
    const moved = story.switches ? await thereAndBack(scene, application.commits + 1) : null;
    const transactions = { source: application.commits, target: numbered?.targetRows ?? 0 };
    return { snapshot, streaming, verification, catchUpMs, tables, transactions, moved };
  } finally {
    stop.abort();
    await running;
  }
}

export const isEqual = ({ different, sourceRows, targetRows }: TableComparison): boolean => different === 0 && sourceRows === targetRows;

async function untilStreaming(
  { settings, invocation }: Scene,
  supervisor: Supervisor,
  say: (text: string) => void,
): Promise<{ readonly said: string; readonly value: { readonly rows: number; readonly ms: number } }> {
  const pace = new PaceKeeper();
  const { paintError } = invocation.out;
  const startedMs = systemClock.monotonicMs();
  return await patiently(invocation.signal, async (signal) => {
    for (;;) {
      const view = supervisedView(settings, supervisor.views());
      refuseStopped(supervisor);
      const sink = view.services.find(({ service }) => service === "sink");
      const read = view.tables.reduce((sum, table) => sum + (table.rowsRead ?? 0), 0);
      const nowMs = systemClock.monotonicMs();
      // The two services report apart: a quick sink has ended the snapshot before the source has told what it read.
      const isRead = view.tables.length > 0 && view.tables.every(({ phase }) => phase === "streaming");
      if (view.phase === "streaming" && isRead && sink?.state === "running") {
        const ms = nowMs - startedMs;
        return {
          said: `${plural(read, "row")} copied at ${formatCount((read / ms) * 1000)} rows/s, services' start included`,
          value: { rows: read, ms },
        };
      }
      const sums = snapshotSums(view.tables);
      if (sums === null) say(view.services.map(({ service, state }) => `${service} ${state}`).join(", "));
      else {
        const { perSecond } = pace.note(nowMs, sums.read, sums.total);
        const rate = perSecond === null ? "" : `  ${formatCount(perSecond)} rows/s`;
        say(
          `${sums.total === null ? "" : bar(Math.min(1, sums.read / Math.max(1, sums.total)), paintError)}  ${formatCount(sums.read)} rows${rate}`,
        );
      }
      await systemClock.delay(80, signal);
    }
  });
}

async function stream(
  { options, place, application, invocation, settings }: Scene,
  supervisor: Supervisor,
  say: (text: string) => void,
): Promise<{ readonly said: string; readonly value: Seen }> {
  const onlooker = new Onlooker(options.story, application.committedAt);
  const enough = new AbortController();
  const looking = onlooker.look(place.url, AbortSignal.any([enough.signal, invocation.signal]));
  const untilMs = systemClock.monotonicMs() + options.seconds * 1000;
  // A machine that has much to do may show no commit in that time, and there would be no figure.
  const isOver = (nowMs: number): boolean => nowMs >= untilMs + (onlooker.seen().p50Ms === null ? patienceMs : 0);
  try {
    while (!isOver(systemClock.monotonicMs())) {
      refuseStopped(supervisor);
      if (application.failed) throw new TailraceError("internal", { what: "The demo's application ended by an error of its own" });
      const { behind } = supervisedView(settings, supervisor.views());
      const seen = onlooker.seen();
      const left = Math.max(0, Math.ceil((untilMs - systemClock.monotonicMs()) / 1000));
      say(
        `${String(left).padStart(2)} s left   ${formatCount(seen.commits)} commits   commit ▸ visible p50 ${formatMs(seen.p50Ms)}  p99 ${formatMs(seen.p99Ms)}   behind ${formatCount(behind.changes)}`,
      );
      await systemClock.delay(100, invocation.signal);
    }
  } finally {
    enough.abort();
    await looking;
  }
  const seen = onlooker.seen();
  const said = `${formatCount(seen.commits)} commits, commit ▸ visible p50 ${formatMs(seen.p50Ms)} p99 ${formatMs(seen.p99Ms)}, ${seen.halfTransactions} half transactions in ${formatCount(seen.looks)} looks`;
  return { said, value: seen };
}

/** A service that needs a person will not come back by waiting. */
function refuseStopped(supervisor: Supervisor): void {
  const stopped = supervisor.views().find(({ state }) => state === "stopped");
  if (stopped === undefined) return;
  const why = stopped.report?.status.why ?? stopped.lastExit ?? "no reason given";
  throw new TailraceError("internal", { what: `The ${stopped.role} stopped in the demo: ${why}` });
}

async function patiently<T>(signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  using limit = timeLimit(signal, patienceMs);
  try {
    return await work(limit.signal);
  } catch (thrown) {
    if (!limit.isOver) throw thrown;
    throw new TailraceError("internal", { what: `The demo has waited ${patienceMs / 1000} s in vain`, cause: thrown });
  }
}

async function thereAndBack({ invocation, settings, stage, file }: Scene, firstTransaction: number): Promise<ThereAndBack> {
  const cutover = await stage.step("cutover", (say) =>
    patiently(invocation.signal, (signal) => switchOver({ settings, file, firstTransaction, say }, signal)),
  );
  const firstBack = firstTransaction + cutover.transactionsBefore + cutover.transactionsAfter + gap;
  const rollback = await stage.step("rollback", (say) =>
    patiently(invocation.signal, (signal) => bringHome({ settings, file, firstTransaction: firstBack, say }, signal)),
  );
  return { cutover, rollback };
}
