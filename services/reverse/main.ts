/** Wires the way back: the two loops with their ends exchanged, on topics of their own. */
import { placeOfFile } from "../../connectors/duckdb/fence/tombstone.js";
import { openHome } from "../../connectors/duckdb/target/home.js";
import { openDuckDbTarget } from "../../connectors/duckdb/target/open-target.js";
import { openPostgresSource } from "../../connectors/postgres/source/postgres-source.js";
import { openSqliteTarget } from "../../connectors/sqlite/target/open-target.js";
import type { Clock } from "../../core/clock.js";
import type { Source } from "../../core/contracts/source.js";
import type { Target } from "../../core/contracts/target.js";
import { TailraceError } from "../../core/errors.js";
import type { Logger } from "../../core/logger.js";
import type { Metrics } from "../../core/metrics.js";
import type { Secret } from "../../core/secret.js";
import type { Settings } from "../../core/settings.js";
import { backPrefix } from "../../core/topics.js";
import { type TableId, theGroup } from "../../core/vocabulary/ids.js";
import { wireSink } from "../sink/main.js";
import { wireSource } from "../source/main.js";
import { ReverseService } from "./reverse-service.js";

export interface ServiceHost {
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly clock: Clock;
}

const never = new AbortController().signal;

/** `url`: of PostgreSQL. Both ends are opened by `run`, and stand by until a cutover has opened the way back. */
export async function openReverseService(settings: Settings, url: Secret, host: ServiceHost): Promise<ReverseService> {
  const { pipeline, source: file } = settings;
  const { clock } = host;
  const prefix = backPrefix(settings.prefix);
  let tables: readonly TableId[] = [];
  const openSource = async (): Promise<Source> => {
    const source = await openPostgresSource({ url, pipeline, group: theGroup, clock }, never);
    tables = source.tables;
    return source;
  };
  const open = targetOf(settings, clock);
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
    { prefix, connector: "postgresql", retention: file.kind === "sqlite" ? file.log : watched, tables: () => tables, openSource },
    host,
  );
  try {
    const sink = await wireSink(settings, { prefix, direction: "reverse", openTarget }, host);
    return new ReverseService({ pipeline, clock, source, sink });
  } catch (thrown) {
    await source[Symbol.asyncDispose]();
    throw thrown;
  }
}

/** For sources whose settings know no capture log: when PostgreSQL's log, kept for the way back, is worth an alarm. */
const watched = { retain: "applied", maxBytes: 1 << 30 } as const;

const homeAgainMs = 10;
const homeWaitMs = 60_000;

function targetOf({ source: file, pipeline, stateDirectory }: Settings, clock: Clock): (signal: AbortSignal) => Promise<Target> {
  const { path } = file;
  if (file.kind === "sqlite") return () => Promise.resolve(openSqliteTarget({ path, pipeline, lockDirectory: stateDirectory, clock }));
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
