/**
 * What services count and measure. They see only this; the process that hosts them renders it (Prometheus text at /metrics).
 * Names are `tailrace_<service>_<thing>_<unit>`; labels come from closed lists (tables, groups, kinds).
 */
export interface Counter {
  add(n: number, labels?: Labels): void;
}
export interface Gauge {
  /** null: unknown now; the sample is left out, never invented. */
  set(value: number | null, labels?: Labels): void;
}
export interface Histogram {
  observe(value: number, labels?: Labels): void;
}
export type Labels = Readonly<Record<string, string>>;
export interface Metrics {
  counter(name: string, help: string, labels?: readonly string[]): Counter;
  gauge(name: string, help: string, labels?: readonly string[]): Gauge;
  histogram(name: string, help: string, buckets: readonly number[], labels?: readonly string[]): Histogram;
}

const nothing = { add: () => {}, set: () => {}, observe: () => {} };
/** For tests and verbs that host no endpoint. */
export const noMetrics: Metrics = { counter: () => nothing, gauge: () => nothing, histogram: () => nothing };
