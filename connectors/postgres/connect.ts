/** The way in: from a URL to a Target. */
import type { Clock } from "../../core/clock.js";
import type { Target } from "../../core/contracts/target.js";
import { TailraceError } from "../../core/errors.js";
import type { Secret } from "../../core/secret.js";
import type { PipelineId } from "../../core/vocabulary/ids.js";

export interface TargetOptions {
  /** postgresql://user:password@host:port/database?sslmode=…; see connection-url.ts for what it may say. */
  readonly url: Secret | string;
  readonly pipeline: PipelineId;
  /** Shown in pg_stat_activity behind `tailrace/`. */
  readonly applicationName?: string;
  readonly clock?: Clock;
}

/** Connects once, to refuse what cannot be a target: an unsafe or refused connection, a server before 14, a database that is not UTF-8. */
export async function connectTarget(_options: TargetOptions, _signal: AbortSignal): Promise<Target> {
  throw new TailraceError("not-yet", { what: "The PostgreSQL target is being built" });
}
