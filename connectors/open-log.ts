/** Which log the settings mean. Beside the connectors, because no service may know two of them and every service needs this. */
import type { Clock } from "../core/clock.js";
import type { LogStore } from "../core/contracts/log-store.js";
import type { LogSettings } from "../core/settings.js";
import { openEmbeddedLog } from "./embedded-log/embedded-log.js";
import { openKafkaLog } from "./kafka/kafka-log.js";

export function openLog(settings: LogSettings, clientId: string, clock: Clock): Promise<LogStore> {
  return settings.kind === "kafka" ? openKafkaLog(settings, { clientId, clock }) : openEmbeddedLog({ path: settings.path, clock });
}
