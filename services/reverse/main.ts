/** Wires the way back: the two loops with their ends exchanged, on topics of their own. */
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
  const { pipeline, source: file, stateDirectory } = settings;
  const { clock } = host;
  if (file.kind !== "sqlite") {
    throw new TailraceError("not-yet", {
      what: `A way back to a source of kind ${file.kind} is not built yet`,
      where: { path: file.path },
    });
  }
  const prefix = backPrefix(settings.prefix);
  let tables: readonly TableId[] = [];
  const openSource = async (): Promise<Source> => {
    const source = await openPostgresSource({ url, pipeline, group: theGroup, clock }, never);
    tables = source.tables;
    return source;
  };
  const openTarget = async (signal: AbortSignal): Promise<Target> => {
    const target = openSqliteTarget({ path: file.path, pipeline, lockDirectory: stateDirectory, clock });
    if ((await target.plan(signal)) !== null) return target;
    throw new TailraceError("source.way-back-closed", {
      what: "The file was never made ready for what comes back",
      where: { path: file.path },
    });
  };
  const source = await wireSource(
    settings,
    { prefix, connector: "postgresql", retention: file.log, tables: () => tables, openSource },
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
