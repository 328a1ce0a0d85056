/** Wires the cutover: which connector stands behind which contract. */
import { randomUUID } from "node:crypto";
import { hostname, userInfo } from "node:os";
import { dirname } from "node:path";
import { RowComparer } from "../../connectors/postgres/cutover/compare-rows.js";
import { openCutoverDesk } from "../../connectors/postgres/cutover/desk.js";
import { openLog } from "../../connectors/open-log.js";
import { openWayBackDesk } from "../../connectors/postgres/source/desk.js";
import { openPostgresRowReader } from "../../connectors/postgres/row-reader.js";
import { openTargetText } from "../../connectors/postgres/target-text.js";
import { openPostgresFence } from "../../connectors/postgres/cutover/postgres-fence.js";
import { openSqliteFence } from "../../connectors/sqlite/fence.js";
import { openSqliteInspector } from "../../connectors/sqlite/inspect/inspector.js";
import { comeHome } from "../../connectors/sqlite/home-coming.js";
import { openSqliteNumbers } from "../../connectors/sqlite/numbers.js";
import { openSqliteRowReader, type SqliteRowReader } from "../../connectors/sqlite/row-reader.js";
import { openSqliteTarget } from "../../connectors/sqlite/target/open-target.js";
import { systemClock } from "../../core/clock.js";
import type { FinalCheck, SourceNumbers, WayBack } from "../../core/contracts/cutover.js";
import type { TablePlan, TargetPlan } from "../../core/contracts/plan.js";
import { TailraceError } from "../../core/errors.js";
import { planOfGroup } from "../../core/plan/groups.js";
import type { Secret } from "../../core/secret.js";
import type { Settings } from "../../core/settings.js";
import { backPrefix } from "../../core/topics.js";
import { type GroupId, markerId, theGroup } from "../../core/vocabulary/ids.js";
import { CheapestCheck } from "./cheapest-check.js";
import { type BothReaders, DigestCheck } from "./digest-check.js";
import { ConfiguredHooks } from "./hooks.js";
import { type CutoverLimits, type CutoverParts, type CutoverPoint, type CutoverProgress, defaultLimits } from "./parts.js";
import { WayHome } from "./way-back.js";
import { WholeCheck } from "./whole-check.js";

export interface OpenCutover {
  readonly settings: Settings;
  readonly url: Secret;
  readonly plan: TargetPlan;
  readonly group: GroupId;
  readonly limits: Partial<CutoverLimits>;
  readonly tell: (progress: CutoverProgress) => void;
  /** A check that knows what was proven before; null: every row is read. */
  readonly check: FinalCheck | null;
  /** False: the operator goes without. */
  readonly wayBack: boolean;
}

export async function openCutover(opening: OpenCutover): Promise<CutoverParts & AsyncDisposable> {
  const { settings, url, group, limits, tell, check, wayBack } = opening;
  const { pipeline, source, stateDirectory, routes } = settings;
  const plan = planOfGroup(opening.plan, group);
  if (source.kind !== "sqlite") {
    throw new TailraceError("not-yet", {
      what: `The cutover of a source of kind ${source.kind} is not built yet`,
      where: { path: source.path },
    });
  }
  const held: (Disposable | AsyncDisposable)[] = [];
  const hold = <T extends Disposable | AsyncDisposable>(resource: T): T => {
    held.push(resource);
    return resource;
  };
  const release = async (): Promise<void> => {
    for (const resource of held.splice(0).reverse()) {
      if (Symbol.asyncDispose in resource) await resource[Symbol.asyncDispose]();
      else resource[Symbol.dispose]();
    }
  };
  try {
    const comparer = hold(await RowComparer.open(url));
    const inspector = hold(openSqliteInspector(source.path, { group }));
    const fence = hold(openSqliteFence({ path: source.path, pipeline }));
    const rows = new WholeCheck({ inspector, target: comparer, tables: plan.tables });
    const digests = new DigestCheck({
      tables: plan.tables.map((table) => table.source),
      open: readersOf({ settings, url, plan, group }),
      rows,
    });
    const home = hold(openSqliteTarget({ path: source.path, pipeline, group, lockDirectory: stateDirectory }));
    return {
      group,
      clock: systemClock,
      holder: `${userInfo().username}@${hostname()} (process ${process.pid})`,
      fence,
      numbers: hold(numbersOf(source.path, plan.tables)),
      desk: hold(openCutoverDesk({ url, pipeline })),
      check: new CheapestCheck(check, digests),
      back: {
        fence: hold(openPostgresFence({ url, pipeline })),
        // What came back is in no log of the file's, so there is no proof that could be brought up to date.
        check: digests,
        passed: () => home.passed(group, new AbortController().signal),
        forget: (signal) => home.destroy({ tables: false }, signal),
        arrive: async (session) => {
          const state = await fence.state(group);
          // In this order: who was replaced meanwhile learns it here, and what it has seen names no later fence.
          const numbers = await session.given();
          comeHome({ path: source.path, group, marker: state.kind === "open" ? null : state.marker, numbers });
        },
      },
      hooks: new ConfiguredHooks({ pipeline, group, hooks: routes.hooks, directory: dirname(stateDirectory) }),
      wayBack: wayBack ? wayHome({ settings, url, plan, group }) : null,
      newMarker: () => markerId(`cutover-${randomUUID()}`),
      limits: { ...defaultLimits, ...limits },
      tell,
      at: dieAt(process.env["TAILRACE_CUTOVER_CRASH_AT"]),
      [Symbol.asyncDispose]: release,
    };
  } catch (thrown) {
    await release();
    throw thrown;
  }
}

/** `plan`: of the group alone. */
type Side = Pick<OpenCutover, "settings" | "url" | "plan" | "group">;

function numbersOf(path: string, tables: readonly TablePlan[]): SourceNumbers {
  const numbers = openSqliteNumbers(path);
  const ours = new Set(tables.map(({ source }) => source));
  return { given: () => numbers.given().filter(({ table }) => ours.has(table)), [Symbol.dispose]: () => numbers[Symbol.dispose]() };
}

/** Of both sides, standing still. */
function readersOf({ settings, url, plan, group }: Side): (signal: AbortSignal) => Promise<BothReaders> {
  const { pipeline, source } = settings;
  return async (signal) => {
    const text = openTargetText(url);
    const here = openSqliteRowReader({ path: source.path, pipeline, group: theGroup, plan, targetText: text.ask });
    const close = async (): Promise<void> => {
      await here[Symbol.asyncDispose]();
      await text[Symbol.asyncDispose]();
    };
    try {
      const describe: SqliteRowReader["describe"] = (table) => here.describe(table);
      const there = await openPostgresRowReader({ url, pipeline, group, plan, describe, labelled: false }, signal);
      return {
        source: here,
        target: there,
        [Symbol.asyncDispose]: async () => {
          await there[Symbol.asyncDispose]();
          await close();
        },
      };
    } catch (thrown) {
      await close();
      throw thrown;
    }
  };
}

function wayHome({ settings, url, plan, group }: Side): WayBack {
  const { pipeline, source, stateDirectory, log, prefix } = settings;
  return new WayHome({
    desk: openWayBackDesk({ url, pipeline }),
    home: openSqliteTarget({ path: source.path, pipeline, group, lockDirectory: stateDirectory }),
    withLog: async (work) => {
      await using store = await openLog(log, `${prefix}-cutover`, systemClock);
      return await work(store);
    },
    prefix: backPrefix(prefix, group),
    plan,
    clock: systemClock,
  });
}

/** For tests: the process kills itself where a random kill hardly ever strikes. */
function dieAt(wanted: string | undefined): (point: CutoverPoint) => Promise<void> {
  return (point) => {
    if (point === wanted) process.kill(process.pid, "SIGKILL");
    return Promise.resolve();
  };
}
