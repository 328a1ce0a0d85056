/** Wires the cutover: which connector stands behind which contract. */
import { randomUUID } from "node:crypto";
import { hostname, userInfo } from "node:os";
import { dirname } from "node:path";
import { RowComparer } from "../../connectors/postgres/cutover/compare-rows.js";
import { openCutoverDesk } from "../../connectors/postgres/cutover/desk.js";
import { openLog } from "../../connectors/open-log.js";
import { openWayBackDesk } from "../../connectors/postgres/source/desk.js";
import { openDuckDbFence } from "../../connectors/duckdb/fence/fence.js";
import { placeOfFile } from "../../connectors/duckdb/fence/tombstone.js";
import { openStandingInspector } from "../../connectors/duckdb/inspect/standing-inspector.js";
import { openDuckDbRowReader, openStandingRowReader } from "../../connectors/duckdb/row-reader.js";
import { openHome } from "../../connectors/duckdb/target/home.js";
import { openDuckDbTarget } from "../../connectors/duckdb/target/open-target.js";
import { openPostgresRowReader } from "../../connectors/postgres/row-reader.js";
import { openPostgresLeading } from "../../connectors/postgres/source/leading.js";
import { openTargetText } from "../../connectors/postgres/target-text.js";
import { openPostgresFence } from "../../connectors/postgres/cutover/postgres-fence.js";
import { openSqliteFence } from "../../connectors/sqlite/fence.js";
import { openSqliteInspector } from "../../connectors/sqlite/inspect/inspector.js";
import { comeHome } from "../../connectors/sqlite/home-coming.js";
import { openSqliteNumbers } from "../../connectors/sqlite/numbers.js";
import { openSqliteRowReader } from "../../connectors/sqlite/row-reader.js";
import { forgetProof } from "../../connectors/sqlite/target/forget-proof.js";
import { openSqliteTarget } from "../../connectors/sqlite/target/open-target.js";
import { systemClock } from "../../core/clock.js";
import type { FinalCheck, GivenNumber, SourceFence, SourceNumbers, WayBack } from "../../core/contracts/cutover.js";
import type { TablePlan, TargetPlan } from "../../core/contracts/plan.js";
import type { RowReader } from "../../core/contracts/row-reader.js";
import type { SourceInspector } from "../../core/contracts/source.js";
import type { Direction, Target } from "../../core/contracts/target.js";
import { TailraceError } from "../../core/errors.js";
import type { TargetText } from "../../core/mapping/hashed-row.js";
import { groupsOf, planOfGroup } from "../../core/plan/groups.js";
import type { Secret } from "../../core/secret.js";
import type { DuckDbSettings, Settings } from "../../core/settings.js";
import { backPrefix } from "../../core/topics.js";
import { type GroupId, type MarkerId, markerId, type TableId } from "../../core/vocabulary/ids.js";
import type { TableDescription } from "../../core/vocabulary/table.js";
import { CheapestCheck } from "./cheapest-check.js";
import { type BothReaders, DigestCheck } from "./digest-check.js";
import { ConfiguredHooks } from "./hooks.js";
import { type CutoverLimits, type CutoverPoint, type CutoverProgress, defaultLimits, type MissedChanges } from "./parts.js";
import type { ReopenParts } from "./reopen.js";
import { tellAgain } from "./tell-again.js";
import { WayHome } from "./way-back.js";
import { WholeCheck } from "./whole-check.js";

const never = new AbortController().signal;

export interface OpenCutover {
  readonly settings: Settings;
  readonly url: Secret;
  readonly plan: TargetPlan;
  readonly group: GroupId;
  readonly limits: Partial<CutoverLimits>;
  readonly tell: (progress: CutoverProgress) => void;
  /** Of either way: a check that knows what was proven before; null: every row is read. */
  readonly checks: Readonly<Record<Direction, FinalCheck | null>>;
  /** False: the operator goes without. */
  readonly wayBack: boolean;
}

export async function openCutover(opening: OpenCutover): Promise<ReopenParts & AsyncDisposable> {
  const { settings, url, group, limits, tell, checks, wayBack } = opening;
  const { pipeline, stateDirectory, routes } = settings;
  const plan = planOfGroup(opening.plan, group);
  // `apply` has refused it, but for plans of a version that did not.
  if (settings.source.kind === "duckdb" && groupsOf(opening.plan).length > 1) {
    throw new TailraceError("plan.group-file", {
      what: "A DuckDB file is fenced off as a whole, so its tables can be switched over in one group alone",
      where: {
        path: settings.source.path,
        groups: groupsOf(opening.plan)
          .map(({ name }) => name)
          .join(", "),
      },
    });
  }
  const options: SideOptions = { settings, url, plan, group };
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
    const side = hold(sideOf(options));
    const rows = new WholeCheck({ inspector: side.inspector, target: comparer, tables: plan.tables });
    const names = plan.tables.map((table) => table.source);
    const whole = new DigestCheck({ tables: names, open: readersOf(options, side.reader), rows });
    const standing = new DigestCheck({ tables: names, open: readersOf(options, side.standing), rows });
    return {
      group,
      clock: systemClock,
      holder: `${userInfo().username}@${hostname()} (process ${process.pid})`,
      fence: side.fence,
      numbers: side.numbers,
      desk: hold(openCutoverDesk({ url, pipeline })),
      check: new CheapestCheck(checks.forward, whole),
      back: {
        fence: hold(openPostgresFence({ url, pipeline })),
        check: new CheapestCheck(checks.reverse, standing),
        passed: () => side.home.passed(group, never),
        forget: (signal) => side.home.destroy({ tables: false }, signal),
        arrive: async (session, signal) => {
          const state = await side.fence.state(group);
          // In this order: who was replaced meanwhile learns it here, and what it has seen names no later fence.
          const numbers = await session.given();
          await side.arrive(state.kind === "open" ? null : state.marker, numbers, signal);
        },
      },
      missed: missedOf(options, side),
      hooks: new ConfiguredHooks({ pipeline, group, hooks: routes.hooks, directory: dirname(stateDirectory) }),
      wayBack: wayBack ? wayHome(options, side) : null,
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

/** What the source's file is for a cutover. */
interface FileSide extends AsyncDisposable {
  readonly fence: SourceFence;
  readonly numbers: SourceNumbers;
  readonly inspector: SourceInspector;
  /** The file as the target of the way back. */
  readonly home: Target;
  readonly isHomeOpen: () => boolean;
  /** Behind its own fence, and behind the other side's. */
  readonly reader: OpenReader;
  readonly standing: OpenReader;
  /** Of what has come back. */
  readonly forgetProof: () => void;
  /** The file is the side that applications write to again. `marker`: of the fence that was found; null: none was up. */
  arrive(marker: MarkerId | null, numbers: readonly GivenNumber[], signal: AbortSignal): Promise<void>;
}
type DescribingReader = RowReader & { describe(table: TableId): TableDescription };
type OpenReader = (targetText: TargetText, signal: AbortSignal) => Promise<DescribingReader>;
/** `plan`: of the group alone. */
type SideOptions = Pick<OpenCutover, "settings" | "url" | "plan" | "group">;

const sideOf = (options: SideOptions): FileSide => {
  const { source } = options.settings;
  return source.kind === "sqlite" ? sqliteSide(options, source.path) : duckDbSide(options, source);
};

function sqliteSide({ settings: { pipeline, stateDirectory }, plan, group }: SideOptions, path: string): FileSide {
  const fence = openSqliteFence({ path, pipeline });
  const numbers = numbersOf(path, plan.tables);
  const inspector = openSqliteInspector(path, { group });
  const home = openSqliteTarget({ path, pipeline, group, lockDirectory: stateDirectory });
  const reader: OpenReader = (targetText) => Promise.resolve(openSqliteRowReader({ path, pipeline, group, plan, targetText }));
  return {
    fence,
    numbers,
    inspector,
    home,
    isHomeOpen: () => true,
    reader,
    standing: reader,
    forgetProof: () => forgetProof({ path, group }),
    arrive: (marker, given) => {
      comeHome({ path, group, marker, numbers: given });
      return Promise.resolve();
    },
    [Symbol.asyncDispose]: async () => {
      await home[Symbol.asyncDispose]();
      await inspector[Symbol.asyncDispose]();
      numbers[Symbol.dispose]();
      fence[Symbol.dispose]();
    },
  };
}

function numbersOf(path: string, tables: readonly TablePlan[]): SourceNumbers {
  const numbers = openSqliteNumbers(path);
  const ours = new Set(tables.map(({ source }) => source));
  return { given: () => numbers.given().filter(({ table }) => ours.has(table)), [Symbol.dispose]: () => numbers[Symbol.dispose]() };
}

/** Its sequences are not carried over, so it gives no numbers that the target would have to go on from. */
const noNumbers: SourceNumbers = { given: () => [], [Symbol.dispose]: () => {} };

function duckDbSide({ settings, url, plan, group }: SideOptions, source: DuckDbSettings): FileSide {
  const { pipeline, stateDirectory } = settings;
  const place = { path: source.path, pipeline, stateDirectory, group };
  // Beside the processes that compare and apply, which have the memory of the settings.
  const memoryMb = Math.max(200, Math.floor(source.memoryMb / 2));
  const keys = new Map(
    [...settings.tables].flatMap(([name, { key }]): [string, readonly string[]][] => (key === null ? [] : [[name, key]])),
  );
  const fence = openDuckDbFence(place);
  const inspector = openStandingInspector({ ...place, memoryMb, keys });
  const home = openDuckDbTarget({ ...place, memoryMb: source.memoryMb, home: () => openHome(source.path) });
  return {
    fence,
    numbers: noNumbers,
    inspector,
    home,
    isHomeOpen: () => placeOfFile(source.path).kind === "aside",
    reader: (targetText) => Promise.resolve(openDuckDbRowReader({ ...place, plan, memoryMb, targetText })),
    standing: (targetText, signal) => openStandingRowReader({ ...place, plan, memoryMb, targetText }, signal),
    // Every row is compared behind the fence: nothing is remembered that could be forgotten.
    forgetProof: () => {},
    arrive: async (marker, _numbers, signal) => {
      if (marker !== null) await fence.comeHome(marker, signal);
      // From here on the file is the application's alone, so nothing could be acknowledged to PostgreSQL: the next cutover opens it again.
      await openWayBackDesk({ url, pipeline }).close(group, signal);
    },
    [Symbol.asyncDispose]: async () => {
      await home[Symbol.asyncDispose]();
      await inspector[Symbol.asyncDispose]();
      fence[Symbol.dispose]();
    },
  };
}

/** Of both sides, standing still. */
function readersOf(
  { settings: { pipeline }, url, plan, group }: SideOptions,
  open: OpenReader,
): (signal: AbortSignal) => Promise<BothReaders> {
  return async (signal) => {
    const held: AsyncDisposable[] = [];
    const close = async (): Promise<void> => {
      for (const it of held.toReversed()) await it[Symbol.asyncDispose]();
    };
    try {
      const text = openTargetText(url);
      held.push(text);
      const here = await open(text.ask, signal);
      held.push(here);
      const describe: DescribingReader["describe"] = (table) => here.describe(table);
      const there = await openPostgresRowReader({ url, pipeline, group, plan, describe, labelled: false }, signal);
      held.push(there);
      return { source: here, target: there, [Symbol.asyncDispose]: close };
    } catch (thrown) {
      await close();
      throw thrown;
    }
  };
}

function missedOf(
  { settings: { pipeline }, url, plan, group }: SideOptions,
  { home, standing, forgetProof: forget }: FileSide,
): MissedChanges {
  return {
    unprove: async (signal) => {
      await home.prepare(plan, () => Promise.resolve(), signal);
      forget();
    },
    tellAgain: async (wanted, signal) => {
      await using text = openTargetText(url);
      await using file = await standing(text.ask, signal);
      const describe: DescribingReader["describe"] = (table) => file.describe(table);
      await using leading = await openPostgresLeading({ url, pipeline, group, plan, describe }, signal);
      // In plan order: parents before children.
      const tables = plan.tables.map(({ source }) => source).filter((table) => wanted.includes(table));
      return await tellAgain({ tables, file, leading }, signal);
    },
  };
}

function wayHome({ settings, url, plan, group }: SideOptions, { home, isHomeOpen }: FileSide): WayBack {
  const { pipeline, log, prefix } = settings;
  return new WayHome({
    desk: openWayBackDesk({ url, pipeline }),
    home,
    isHomeOpen,
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
