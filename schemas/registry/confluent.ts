import { type Clock, systemClock } from "../../core/clock.js";
import type { RegistrySettings } from "../../core/settings.js";
import type { SchemaRegistry } from "./registry.js";

export function confluentRegistry(settings: RegistrySettings, options: { readonly clock?: Clock } = {}): SchemaRegistry {
  throw new Error(`not built yet (${settings.url}, ${typeof (options.clock ?? systemClock)})`);
}
