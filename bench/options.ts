import type { Report } from "./report.js";

export type LogKind = "embedded" | "kafka";
export interface BenchOptions {
  /** `quick`: with `--quick`, for a look at whether it works and roughly where it stands. */
  count(name: "rounds" | "rows" | "changes" | "transaction" | "seconds" | "documents" | "memory", fallback: number, quick: number): number;
  readonly rates: readonly number[];
  readonly logs: readonly LogKind[];
  /** Variants by name; null: all. */
  readonly only: readonly string[] | null;
  /** Folder for CPU profiles of the services; null: none are taken. */
  readonly profile: string | null;
  /** Progress, to stderr. */
  readonly say: (text: string) => void;
}
export type Bench = (options: BenchOptions) => Promise<Report>;
