import type { LogStore } from "../../core/contracts/log-store.js";
import type { RegistrySettings } from "../../core/settings.js";
import { confluentRegistry } from "./confluent.js";
import { embeddedRegistry } from "./embedded.js";
import type { SchemaRegistry } from "./registry.js";

/** The registry that the settings name, or the topic `<prefix>.schemas` without one. */
export function openRegistry(
  settings: RegistrySettings | null,
  otherwise: { readonly store: LogStore; readonly prefix: string },
): SchemaRegistry {
  return settings === null ? embeddedRegistry(otherwise) : confluentRegistry(settings);
}
