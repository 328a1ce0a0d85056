import type { Clock } from "../../core/clock.js";
import type { LogStore } from "../../core/contracts/log-store.js";
import type { KafkaSettings } from "../../core/settings.js";

export interface KafkaLogOptions {
  readonly clientId: string;
  readonly clock?: Clock;
}

/** Connects to nothing yet: the first call does. Refuses settings that would send a password in the clear. */
export function openKafkaLog(_settings: KafkaSettings, _options: KafkaLogOptions): Promise<LogStore> {
  return Promise.reject(new Error("not built yet"));
}
