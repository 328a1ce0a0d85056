/** Wires the sink service: which connector stands behind which contract. */
import { openLog } from "../../connectors/open-log.js";
import { connectTarget } from "../../connectors/postgres/connect.js";
import type { Clock } from "../../core/clock.js";
import type { Direction, Target } from "../../core/contracts/target.js";
import { LogAppliedPublisher } from "../../core/log/applied-board.js";
import { PatientStore } from "../../core/log/patient-store.js";
import { CutLogReader } from "../../core/log/reader.js";
import type { Logger } from "../../core/logger.js";
import type { Metrics } from "../../core/metrics.js";
import type { Secret } from "../../core/secret.js";
import type { Settings } from "../../core/settings.js";
import { countedTopics } from "../../core/topics.js";
import { type TableId, theGroup } from "../../core/vocabulary/ids.js";
import { createDecoder } from "../../schemas/decoder.js";
import { openRegistry } from "../../schemas/registry/open-registry.js";
import { type Ahead, SinkService } from "./sink-service.js";

export interface ServiceHost {
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly clock: Clock;
}

/** `url`: of the target, or of the embedded PostgreSQL that the caller holds. */
export function openSinkService(settings: Settings, url: Secret, host: ServiceHost): Promise<SinkService> {
  const { prefix, pipeline } = settings;
  const openTarget = (signal: AbortSignal): Promise<Target> => connectTarget({ url, pipeline }, signal);
  return wireSink(settings, { prefix, direction: "forward", openTarget }, host);
}

export interface SinkWiring {
  readonly prefix: string;
  readonly direction: Direction;
  readonly openTarget: (signal: AbortSignal) => Promise<Target>;
}

/** Any target behind the log that the settings mean: both directions are wired alike. */
export async function wireSink(settings: Settings, { prefix, direction, openTarget }: SinkWiring, host: ServiceHost): Promise<SinkService> {
  const { pipeline } = settings;
  const { clock, log, metrics } = host;
  const store = new PatientStore(await openLog(settings.log, `${prefix}-sink`, clock), clock);
  const registry = openRegistry(settings.log.kind === "kafka" ? settings.log.registry : null, { store, prefix });
  const decoder = createDecoder({ registry });
  const publisher = new LogAppliedPublisher(store, clock, prefix);
  const openReader = (tables: readonly TableId[], ahead: Ahead): CutLogReader => {
    return new CutLogReader({ store, decoder, clock, prefix, group: theGroup, topics: countedTopics(prefix, tables), ahead });
  };
  return new SinkService({ pipeline, group: theGroup, direction, clock, log, metrics, store, publisher, openTarget, openReader });
}
