/** What was survived, by kind and log: the table that a long run ends with, and the line that docs/guarantees.md is written from. */
import { appendFileSync, existsSync, readFileSync } from "node:fs";

export type LogKind = "embedded" | "kafka";

export class Tally {
  readonly #counts = new Map<string, Record<LogKind, number>>();

  constructor(readonly log: LogKind) {}

  add(kind: string, n = 1): void {
    const counts = this.#counts.get(kind) ?? { embedded: 0, kafka: 0 };
    counts[this.log] += n;
    this.#counts.set(kind, counts);
  }

  counts(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#counts].map(([kind, counts]) => [kind, counts[this.log]]));
  }
}

/** One run that ended. Kept as a line each, so that a long run that is broken off has counted what it has done. */
export interface RunRecord {
  readonly seed: number;
  readonly log: LogKind;
  readonly kind: "blind" | "points";
  readonly faults: number;
  readonly transactions: number;
  readonly glances: number;
  readonly seconds: number;
  readonly counts: Readonly<Record<string, number>>;
  readonly found: readonly string[];
}

export function keep(file: string, record: RunRecord): void {
  appendFileSync(file, `${JSON.stringify(record)}\n`);
}

export function kept(file: string): readonly RunRecord[] {
  if (!existsSync(file)) return [];
  return readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as RunRecord);
}

export function table(records: readonly RunRecord[]): string {
  const sums = sumsOf(records);
  const width = Math.max(20, ...[...sums.keys()].map((kind) => kind.length));
  const line = (name: string, a: string | number, b: string | number): string =>
    `${name.padEnd(width)} ${String(a).padStart(9)} ${String(b).padStart(9)}`;
  const of = (log: LogKind, value: (record: RunRecord) => number): number =>
    records.filter((record) => record.log === log).reduce((sum, record) => sum + value(record), 0);
  return [
    line("survived", "embedded", "kafka"),
    ...[...sums].map(([kind, { embedded, kafka }]) => line(kind, embedded, kafka)),
    line(
      "transactions",
      of("embedded", (r) => r.transactions),
      of("kafka", (r) => r.transactions),
    ),
    line(
      "glances at the target",
      of("embedded", (r) => r.glances),
      of("kafka", (r) => r.glances),
    ),
    line(
      "runs",
      of("embedded", () => 1),
      of("kafka", () => 1),
    ),
    line(
      "runs that found something",
      of("embedded", (r) => Math.sign(r.found.length)),
      of("kafka", (r) => Math.sign(r.found.length)),
    ),
  ].join("\n");
}

export const jsonLine = (records: readonly RunRecord[]): string =>
  JSON.stringify({
    runs: records.length,
    failed: records.filter(({ found }) => found.length > 0).length,
    transactions: records.reduce((sum, { transactions }) => sum + transactions, 0),
    glances: records.reduce((sum, { glances }) => sum + glances, 0),
    counts: Object.fromEntries(sumsOf(records)),
  });

function sumsOf(records: readonly RunRecord[]): ReadonlyMap<string, Record<LogKind, number>> {
  const sums = new Map<string, Record<LogKind, number>>();
  for (const { log, counts } of records) {
    for (const [kind, n] of Object.entries(counts)) {
      const sum = sums.get(kind) ?? { embedded: 0, kafka: 0 };
      sum[log] += n;
      sums.set(kind, sum);
    }
  }
  return new Map([...sums].sort(([a], [b]) => (a < b ? -1 : 1)));
}
