import type { Clock } from "../core/clock.js";
import type { ChangeEncoder } from "../core/contracts/log.js";
import type { SchemaRegistry } from "./registry/registry.js";

export interface EncoderOptions {
  readonly prefix: string;
  readonly registry: SchemaRegistry;
  readonly clock: Clock;
}

export function createEncoder(options: EncoderOptions): ChangeEncoder {
  throw new Error(`not built yet (${options.prefix})`);
}
