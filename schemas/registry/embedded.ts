import type { LogStore } from "../../core/contracts/log-store.js";
import type { SchemaRegistry } from "./registry.js";

/** The topic `<prefix>.schemas` must be there (`topicSpecs` of core/topics names it). */
export function embeddedRegistry(options: { readonly store: LogStore; readonly prefix: string }): SchemaRegistry {
  throw new Error(`not built yet (${options.prefix})`);
}
