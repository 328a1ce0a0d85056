/**
 * How long can the application not write when it is brought home? Forth and back on one pipeline, with everything that it wrote at PostgreSQL coming back all
 * the while. The pause is what the application saw, the steps what the tool measured.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type Figure, measured, stepTimes, withLine } from "./cutover-line.js";
import type { Bench, LogKind } from "./options.js";
import { openPlace } from "./place.js";
import { median, percentile, rounded } from "./report.js";

/** For the application to write at the other side before it is taken away from there. */
const stayMs = 1_000;

export const rollback: Bench = async (options) => {
  const rounds = options.count("rounds", 50, 3);
  const rows = options.count("rows", 10_000, 2_000);
  const rate = options.rates.at(-1) ?? 1_000;
  await using place = await openPlace(options.logs);
  const figures: Figure[] = [];
  for (const log of place.logs) {
    await withLine(place, { log, name: `rollback_${log}`, rows, rate }, async (line) => {
      for (let n = 1; n <= rounds; n++) {
        for (const kind of ["run", "rollback"] as const) {
          figures.push(...(await measured(line, log, kind, options)));
          await sleep(stayMs);
        }
      }
    });
  }
  return {
    setup: [
      `one-row transactions at ${rate}/s through tailrace/routing; ${rows} orders with two secondary indexes, 1,000 customers with a UNIQUE column`,
      `pause: from the application's last success before to its first after; ${rounds} times forth and back a log, on one pipeline`,
      place.postgres,
    ],
    tables: [
      pauses(figures, place.logs),
      stepTimes(
        figures.filter(({ kind }) => kind === "rollback"),
        place.logs,
      ),
    ],
    skipped: place.skipped,
    rounds: figures,
  };
};

function pauses(figures: readonly Figure[], logs: readonly LogKind[]) {
  const rows = logs.flatMap((log) =>
    (["run", "rollback"] as const).map((kind) => {
      const found = figures.filter((figure) => figure.log === log && figure.kind === kind);
      const seen = found.map(({ pauseMs }) => pauseMs);
      const tool = found.map(({ toolPauseMs }) => toolPauseMs);
      const [p50, p99] = [rounded(percentile(seen, 0.5), 0), rounded(percentile(seen, 0.99), 0)];
      return [log, kind === "run" ? "cutover" : kind, found.length, p50, p99, rounded(Math.max(...seen), 0), rounded(median(tool), 0)];
    }),
  );
  return { title: "write pause, ms", columns: ["log", "kind", "n", "p50", "p99", "most", "tool p50"], rows };
}
