/** The settings file after parsing: complete, checked, with secrets wrapped. cli/settings is its only maker. */
import type { Retention } from "./capture/retention.js";
import type { Secret } from "./secret.js";
import type { PipelineId } from "./vocabulary/ids.js";

export interface Settings {
  readonly pipeline: PipelineId;
  /** Topic prefix; the pipeline's name. */
  readonly prefix: string;
  /** Absolute path of `.tailrace` beside the settings file: embedded log, embedded PostgreSQL, lock files. */
  readonly stateDirectory: string;
  readonly source: SourceSettings;
  readonly log: LogSettings;
  readonly target: TargetSettings;
  /** By source table name. */
  readonly tables: ReadonlyMap<string, TableSettings>;
  /** True when `tables` lists what is captured; false when it only adjusts (the block is absent). */
  readonly onlyListedTables: boolean;
  /** Tables that are switched over together, by the group's name. Those that none names form `main`. */
  readonly groups: ReadonlyMap<string, readonly string[]>;
  readonly verify: VerifySettings;
  readonly http: { readonly host: string; readonly port: number };
  readonly routes: { readonly hooks: readonly RouteHook[] };
}
/** Told of every change of the route. */
export type RouteHook = { readonly kind: "command"; readonly command: readonly string[] } | { readonly kind: "http"; readonly url: string };
export interface VerifySettings {
  /** Read budget of the verify service, rows of one side; 0: it does not run. */
  readonly rowsPerSecond: number;
}
export type SourceSettings = SqliteSettings | DuckDbSettings;
export interface SqliteSettings {
  readonly kind: "sqlite";
  /** Absolute. */
  readonly path: string;
  /** Of the capture log in the source. */
  readonly log: Retention;
}
export interface DuckDbSettings {
  readonly kind: "duckdb";
  /** Absolute. */
  readonly path: string;
  /** What DuckDB may take for comparing copies. */
  readonly memoryMb: number;
  /** Between two looks at the file. */
  readonly pollMs: number;
  /** null: as fast as it goes. */
  readonly copyMbPerSecond: number | null;
}
export type LogSettings = EmbeddedLogSettings | KafkaSettings;
export interface EmbeddedLogSettings {
  readonly kind: "embedded";
  /** Absolute path of the SQLite file that is the log. */
  readonly path: string;
}
export interface KafkaSettings {
  readonly kind: "kafka";
  readonly brokers: readonly string[];
  readonly tls: TlsSettings;
  readonly sasl: {
    readonly mechanism: "plain" | "scram-sha-256" | "scram-sha-512";
    readonly username: string;
    readonly password: Secret;
  } | null;
  /** -1: the broker's default. */
  readonly replicationFactor: number;
  /** null: schemas are kept in the topic `<prefix>.schemas`. */
  readonly registry: RegistrySettings | null;
}
export interface RegistrySettings {
  readonly url: string;
  readonly auth: { readonly username: string; readonly password: Secret } | { readonly token: Secret } | null;
  /** PEM text. */
  readonly ca: string | null;
}
/** PEM texts. `verify: false` is only made by an explicit `insecure`. */
export type TlsSettings = null | {
  readonly ca: string | null;
  readonly cert: string | null;
  readonly key: Secret | null;
  readonly verify: boolean;
};
export interface TargetSettings {
  /** null: embedded PostgreSQL under the state directory. */
  readonly url: Secret | null;
  /** For source tables without `to`. */
  readonly schema: string;
}
export interface TableSettings {
  readonly to: string | null;
  /** Columns that tell rows apart where the source does not say so; null: as the source says. */
  readonly key: readonly string[] | null;
  readonly columns: ReadonlyMap<string, ColumnSettings>;
}
export type ColumnSettings =
  | { readonly kind: "drop" }
  /** `value`: PostgreSQL text form; null for NULL; `run-start` was replaced when the plan was first made. */
  | { readonly kind: "constant"; readonly value: string | null | { readonly runStart: true }; readonly type: string | null }
  | { readonly kind: "map"; readonly to: string | null; readonly type: string | null; readonly from: TimeForm | null };
export type TimeForm = "epoch-s" | "epoch-ms" | "epoch-us" | "iso" | "julian-day";
