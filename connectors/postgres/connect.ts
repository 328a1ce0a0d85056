/** The way in: from a URL to a Target. */
import { type Clock, systemClock } from "../../core/clock.js";
import type { Target } from "../../core/contracts/target.js";
import { Secret } from "../../core/secret.js";
import type { PipelineId } from "../../core/vocabulary/ids.js";
import { Connection } from "./connection.js";
import { parseConnectionUrl } from "./connection-url.js";
import { PostgresTarget } from "./target.js";

export interface TargetOptions {
  /** postgresql://user:password@host:port/database?sslmode=…; see connection-url.ts for what it may say. */
  readonly url: Secret | string;
  readonly pipeline: PipelineId;
  readonly clock?: Clock;
  /** How long a statement waits for somebody else's lock (default 10 s) before the window is given back and tried again. */
  readonly lockTimeoutMs?: number;
}

/** Connects once, to refuse what cannot be a target: an unsafe or refused connection, a server before 14, a database that is not UTF-8. */
export async function connectTarget(options: TargetOptions, signal: AbortSignal): Promise<Target> {
  const parsed = parseConnectionUrl(options.url instanceof Secret ? options.url.reveal() : options.url);
  const settings = { ...parsed, lockTimeoutMs: options.lockTimeoutMs ?? parsed.lockTimeoutMs };
  const applicationName = shortName(options.pipeline);
  signal.throwIfAborted();
  await using probe = await Connection.open(settings, { applicationName, pipelined: false });
  void probe;
  return new PostgresTarget({ settings, pipeline: options.pipeline, applicationName, clock: options.clock ?? systemClock });
}

/** PostgreSQL cuts it at 63 bytes and prints what is not ASCII as question marks; sessions of a pipeline are recognised by it. */
const shortName = (pipeline: PipelineId): string => `tailrace/${pipeline.replaceAll(/[^ -~]/g, "?")}`.slice(0, 63);
