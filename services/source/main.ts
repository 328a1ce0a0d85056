/** Wires the source service: which connector stands behind which contract. */
import { randomUUID } from "node:crypto";
import { openLog } from "../../connectors/open-log.js";
import { openDuckDbSource } from "../../connectors/duckdb/duckdb-source.js";
import { openSqliteSource } from "../../connectors/sqlite/sqlite-source.js";
import type { Retention } from "../../core/capture/retention.js";
import type { Clock } from "../../core/clock.js";
import type { NamedGroup } from "../../core/group-loops.js";
import type { Source } from "../../core/contracts/source.js";
import { LogAppliedFollower } from "../../core/log/applied-follower.js";
import { PatientStore } from "../../core/log/patient-store.js";
import { CutLogWriter } from "../../core/log/writer.js";
import type { Logger } from "../../core/logger.js";
import type { Metrics } from "../../core/metrics.js";
import type { Settings } from "../../core/settings.js";
import { countedTopics } from "../../core/topics.js";
import { type TableId, theGroup, writerId } from "../../core/vocabulary/ids.js";
import { createDecoder } from "../../schemas/decoder.js";
import { createEncoder } from "../../schemas/encoder.js";
import { openRegistry } from "../../schemas/registry/open-registry.js";
import type { ConnectorName } from "../../schemas/table-property.js";
import { SourceService } from "./source-service.js";

function openSourceOf({ source, pipeline, stateDirectory }: Settings, clock: Clock): Promise<Source> {
  const { path } = source;
  if (source.kind === "sqlite") return openSqliteSource({ path, pipeline, group: theGroup, lockDirectory: stateDirectory, clock });
  const { memoryMb, pollMs, copyMbPerSecond } = source;
  const copyBytesPerSecond = copyMbPerSecond === null ? null : copyMbPerSecond * 1_000_000;
  return openDuckDbSource({ path, pipeline, group: theGroup, stateDirectory, clock, memoryMb, pollMs, copyBytesPerSecond });
}

export interface ServiceHost {
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly clock: Clock;
}

export interface Captured {
  /** Those that are or were captured. */
  readonly tables: () => readonly TableId[];
  /** Of those that are. */
  readonly groups: () => readonly NamedGroup[];
}

/** `captured`: as the installed capture objects say; asked again for each session, since `apply` may add some. Opens the log's client; the source file is opened by `run`. */
export function openSourceService(settings: Settings, captured: Captured, host: ServiceHost): Promise<SourceService> {
  // A source that keeps no log of its own has nothing to limit.
  const retention = settings.source.kind === "sqlite" ? settings.source.log : ({ retain: "applied", maxBytes: 0 } as const);
  const openSource = (): Promise<Source> => openSourceOf(settings, host.clock);
  const { prefix, source } = settings;
  return wireSource(settings, { prefix, connector: source.kind, retention, ...captured, openSource }, host);
}

export interface SourceWiring {
  readonly prefix: string;
  /** Named in every record. */
  readonly connector: ConnectorName;
  readonly retention: Retention;
  /** Asked again for each session. */
  readonly tables: () => readonly TableId[];
  /** Groups whose sinks read this log. */
  readonly groups: () => readonly NamedGroup[];
  readonly openSource: () => Promise<Source>;
}

/** Any source behind the log that the settings mean: both directions are wired alike. */
export async function wireSource(settings: Settings, wiring: SourceWiring, host: ServiceHost): Promise<SourceService> {
  const { pipeline } = settings;
  const { prefix, connector, tables, groups, retention, openSource } = wiring;
  const { clock, log, metrics } = host;
  const store = new PatientStore(await openLog(settings.log, `${prefix}-source`, clock), clock);
  const registry = openRegistry(settings.log.kind === "kafka" ? settings.log.registry : null, { store, prefix });
  const follower = new LogAppliedFollower({ store, clock, prefix, groups: () => groups().map(({ id }) => id) });
  const writer = new CutLogWriter({
    store,
    decoder: createDecoder({ registry }),
    clock,
    prefix,
    pipeline,
    writer: writerId(randomUUID()),
    get topics() {
      return countedTopics(prefix, tables());
    },
    applied: (signal) => follower.latest(signal),
    newLogId: randomUUID,
  });
  const encoder = createEncoder({ prefix, registry, clock, connector });
  return new SourceService({ pipeline, prefix, retention, clock, log, metrics, store, writer, encoder, follower, groups, openSource });
}
