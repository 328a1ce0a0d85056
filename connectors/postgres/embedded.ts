/** A PostgreSQL of our own for demo, trials and tests. */
import { TailraceError } from "../../core/errors.js";
import type { Secret } from "../../core/secret.js";

export interface EmbeddedOptions {
  /** Holds data, password, log and the list of users; made when missing. */
  readonly directory: string;
  /** Default: the port of the last time when it is free, else any. */
  readonly port?: number;
  /** Server settings beyond our own, as `postgres -c name=value`; only heeded by the one who starts the server. */
  readonly settings?: Readonly<Record<string, string>>;
}
export interface EmbeddedPostgres extends AsyncDisposable {
  /** Superuser, database `tailrace`, 127.0.0.1. */
  readonly url: Secret;
  /** Of the postmaster. */
  readonly pid: number;
  /** Last one out stops the server. Idempotent. */
  stop(): Promise<void>;
}

/** First one in starts the server, in any process; several processes of one machine share it. */
export async function startEmbeddedPostgres(_options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  throw new TailraceError("not-yet", { what: "The embedded PostgreSQL is being built" });
}
