import type { Clock } from "../../core/clock.js";
import type { LogStore } from "../../core/contracts/log-store.js";

export interface EmbeddedLogOptions {
  /** Absolute path of the SQLite file; created, with its folder, when it is not there. */
  readonly path: string;
  readonly clock?: Clock;
}

export function openEmbeddedLog(_options: EmbeddedLogOptions): Promise<LogStore> {
  return Promise.reject(new Error("not built yet"));
}
