/** Wires the sink service: which connector stands behind which contract. */
import { openLog } from "../../connectors/open-log.js";
import { connectTarget } from "../../connectors/postgres/connect.js";
import type { Clock } from "../../core/clock.js";
import type { Direction, Target } from "../../core/contracts/target.js";
import { GroupLoops } from "../../core/group-loops.js";
import { groupMetrics } from "../../core/group-metrics.js";
import { LogAppliedPublisher } from "../../core/log/applied-board.js";
import { Elsewhere } from "../../core/log/elsewhere.js";
import { PatientStore } from "../../core/log/patient-store.js";
import { CutLogReader } from "../../core/log/reader.js";
import type { Logger } from "../../core/logger.js";
import type { Metrics } from "../../core/metrics.js";
import { groupsOf, mainGroup } from "../../core/plan/groups.js";
import type { Secret } from "../../core/secret.js";
import type { Settings } from "../../core/settings.js";
import { countedTopics } from "../../core/topics.js";
import type { GroupId } from "../../core/vocabulary/ids.js";
import { createDecoder } from "../../schemas/decoder.js";
import { openRegistry } from "../../schemas/registry/open-registry.js";
import { type Ahead, type Readable, SinkService, type SinkServiceOptions } from "./sink-service.js";

export interface ServiceHost {
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly clock: Clock;
}

/** `url`: of the target, or of the embedded PostgreSQL that the caller holds. */
export async function openSinkService(settings: Settings, url: Secret, host: ServiceHost): Promise<GroupLoops> {
  const { prefix, pipeline } = settings;
  const openTarget = (signal: AbortSignal): Promise<Target> => connectTarget({ url, pipeline }, signal);
  const open = (group: GroupId | null): Promise<SinkService> => {
    let name: string = mainGroup;
    const onPlan: SinkServiceOptions["onPlan"] = (plan, mine) => {
      const groups = groupsOf(plan);
      name = groups.find(({ id }) => id === mine)?.name ?? name;
      loops.heard(groups);
    };
    const metrics = groupMetrics(host.metrics, () => name);
    return wireSink(settings, { prefix, group, direction: "forward", openTarget, onPlan }, { ...host, metrics });
  };
  const loops: GroupLoops = new GroupLoops({ name: "sink", clock: host.clock, first: await open(null), open });
  return loops;
}

export interface SinkWiring {
  readonly prefix: string;
  readonly group: GroupId | null;
  readonly direction: Direction;
  readonly openTarget: (signal: AbortSignal) => Promise<Target>;
  readonly onPlan: SinkServiceOptions["onPlan"];
}

/** Any target behind the log that the settings mean: both directions are wired alike. */
export async function wireSink(settings: Settings, wiring: SinkWiring, host: ServiceHost): Promise<SinkService> {
  const { pipeline } = settings;
  const { prefix } = wiring;
  const { clock } = host;
  const store = new PatientStore(await openLog(settings.log, `${prefix}-sink`, clock), clock);
  const registry = openRegistry(settings.log.kind === "kafka" ? settings.log.registry : null, { store, prefix });
  const decoder = createDecoder({ registry });
  const publisher = new LogAppliedPublisher(store, clock, prefix);
  const openReader = ({ group, tables, elsewhere }: Readable, ahead: Ahead): CutLogReader => {
    const others = elsewhere.length === 0 ? undefined : new Elsewhere(prefix, elsewhere);
    return new CutLogReader({ store, decoder, clock, prefix, group, topics: countedTopics(prefix, tables), elsewhere: others, ahead });
  };
  return new SinkService({ pipeline, ...wiring, ...host, store, publisher, openReader });
}
