import type { ChangeDecoder } from "../core/contracts/log.js";
import type { SchemaRegistry } from "./registry/registry.js";

export function createDecoder(options: { readonly registry: SchemaRegistry }): ChangeDecoder {
  throw new Error(`not built yet (${typeof options.registry})`);
}
