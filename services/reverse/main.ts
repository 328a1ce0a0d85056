/** Wires the way back: the two loops with their ends exchanged, on topics of their own. */
import { placeOfFile } from "../../connectors/duckdb/fence/tombstone.js";
import { openHome } from "../../connectors/duckdb/target/home.js";
import { openDuckDbTarget } from "../../connectors/duckdb/target/open-target.js";
import { openWayBackDesk } from "../../connectors/postgres/source/desk.js";
import { openPostgresSource } from "../../connectors/postgres/source/postgres-source.js";
import { openSqliteTarget } from "../../connectors/sqlite/target/open-target.js";
import type { Clock } from "../../core/clock.js";
import type { Source } from "../../core/contracts/source.js";
import type { Target } from "../../core/contracts/target.js";
import { isAbort, TailraceError } from "../../core/errors.js";
import { GroupLoops, type NamedGroup } from "../../core/group-loops.js";
import { groupMetrics } from "../../core/group-metrics.js";
import type { Service } from "../../core/status.js";
import { together } from "../../core/supervise.js";
import type { Logger } from "../../core/logger.js";
import type { Metrics } from "../../core/metrics.js";
import type { Secret } from "../../core/secret.js";
import type { Settings } from "../../core/settings.js";
import { mainGroup } from "../../core/plan/groups.js";
import { backPrefix } from "../../core/topics.js";
import { type GroupId, type TableId, theGroup } from "../../core/vocabulary/ids.js";
import { wireSink } from "../sink/main.js";
import { wireSource } from "../source/main.js";
import { ReverseService } from "./reverse-service.js";

export interface ServiceHost {
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly clock: Clock;
}

const never = new AbortController().signal;

/** Groups come while this runs, as `apply` makes them. */
const lookEveryMs = 5_000;

/** `url`: of PostgreSQL. `groups`: as the file has them; the first one's loop is there from the beginning. */
export async function openReverseService(
  settings: Settings,
  { url, groups }: { readonly url: Secret; readonly groups: () => readonly NamedGroup[] },
  host: ServiceHost,
): Promise<Service & AsyncDisposable> {
  const { clock } = host;
  const names = new Map<GroupId, string>();
  const open = (group: GroupId): Promise<ReverseService> => {
    const name = (): string => names.get(group) ?? (group === theGroup ? mainGroup : String(group));
    return openWayBack(settings, { url, group, name }, { ...host, metrics: groupMetrics(host.metrics, name) });
  };
  // While the file is away nobody knows of others; whoever writes to it says what is wrong.
  const known = (): readonly NamedGroup[] => {
    try {
      const there = groups();
      for (const { id, name } of there) names.set(id, name);
      return there;
    } catch {
      return [];
    }
  };
  const loops = new GroupLoops({ name: "reverse", clock, first: await open(known()[0]?.id ?? theGroup), open });
  const look = async (signal: AbortSignal): Promise<void> => {
    for (;;) {
      const there = known();
      if (there.length > 0) loops.heard(there);
      await clock.delay(lookEveryMs, signal);
    }
  };
  return {
    name: loops.name,
    status: () => loops.status(),
    run: async (signal) => {
      try {
        await together([(s) => loops.run(s), look], clock, signal);
      } catch (thrown) {
        if (!(signal.aborted && isAbort(thrown))) throw thrown;
      }
    },
    [Symbol.asyncDispose]: () => loops[Symbol.asyncDispose](),
  };
}

/** Both ends are opened by `run`, and stand by until a cutover has opened the way back. */
async function openWayBack(
  settings: Settings,
  { url, group, name }: { readonly url: Secret; readonly group: GroupId; readonly name: () => string },
  host: ServiceHost,
): Promise<ReverseService> {
  const { pipeline, source: file } = settings;
  const { clock } = host;
  const prefix = backPrefix(settings.prefix, group);
  let tables: readonly TableId[] = [];
  const openSource = async (): Promise<Source> => {
    const source = await openPostgresSource({ url, pipeline, group, clock }, never);
    tables = source.tables;
    return source;
  };
  const open = targetOf(settings, group, clock);
  const openTarget = async (signal: AbortSignal): Promise<Target> => {
    const target = await open(signal);
    if ((await target.plan(signal)) !== null) return target;
    throw new TailraceError("source.way-back-closed", {
      what: "The file was never made ready for what comes back",
      where: { path: file.path },
    });
  };
  const source = await wireSource(
    settings,
    {
      prefix,
      connector: "postgresql",
      retention: file.kind === "sqlite" ? file.log : watched,
      tables: () => tables,
      groups: () => [{ id: group, name: name() }],
      openSource,
    },
    host,
  );
  try {
    const sink = await wireSink(settings, { prefix, group, direction: "reverse", openTarget, onPlan: () => {} }, host);
    const desk = openWayBackDesk({ url, pipeline });
    return new ReverseService({ pipeline, group, clock, source, sink, opening: (signal) => desk.opening(group, signal) });
  } catch (thrown) {
    await source[Symbol.asyncDispose]();
    throw thrown;
  }
}

/** For sources whose settings know no capture log: when PostgreSQL's log, kept for the way back, is worth an alarm. */
const watched = { retain: "applied", maxBytes: 1 << 30 } as const;

const homeAgainMs = 10;
const homeWaitMs = 60_000;

function targetOf(
  { source: file, pipeline, stateDirectory }: Settings,
  group: GroupId,
  clock: Clock,
): (signal: AbortSignal) => Promise<Target> {
  const { path } = file;
  if (file.kind === "sqlite")
    return () => Promise.resolve(openSqliteTarget({ path, pipeline, group, lockDirectory: stateDirectory, clock }));
  const { memoryMb } = file;
  let isFirst = true;
  return async (signal) => {
    // In the middle of a cutover the file becomes ours: then writes wait, and nobody may wait for us to look again. At first it is said where we stand.
    const deadline = clock.monotonicMs() + (isFirst ? 0 : homeWaitMs);
    isFirst = false;
    while (placeOfFile(path).kind === "here" && clock.monotonicMs() < deadline) await clock.delay(homeAgainMs, signal);
    openHome(path);
    return openDuckDbTarget({ path, pipeline, stateDirectory, memoryMb, clock, home: () => openHome(path) });
  };
}
