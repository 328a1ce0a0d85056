/**
 * How long can the application not write when it is switched over? Everything runs: an application that follows its route at a steady rate, source, log,
 * sink. Rehearsals on one pipeline, then cutovers, each on a pipeline of its own; the pause is what the application saw, the steps what the tool measured.
 */
import { type Figure, type Line, measured, stepTimes, withLine } from "./cutover-line.js";
import type { Bench, BenchOptions, LogKind } from "./options.js";
import { openPlace } from "./place.js";
import { median, percentile, rounded } from "./report.js";

export const cutover: Bench = async (options) => {
  const rounds = options.count("rounds", 50, 5);
  const rows = options.count("rows", 10_000, 2_000);
  const rate = options.rates.at(-1) ?? 1_000;
  // Every fifth is a cutover: it costs a pipeline of its own.
  const cutovers = Math.max(1, Math.floor(rounds / 5));
  await using place = await openPlace(options.logs);
  const figures: Figure[] = [];
  for (const log of place.logs) {
    figures.push(
      ...(await withLine(place, { log, name: `cutover_${log}`, rows, rate }, (line) => rehearsals(line, log, rounds - cutovers, options))),
    );
    for (let n = 1; n <= cutovers; n++) {
      figures.push(
        ...(await withLine(place, { log, name: `cutover_${log}_${n}`, rows, rate }, (line) => measured(line, log, "run", options))),
      );
    }
  }
  return {
    setup: [
      `one-row transactions at ${rate}/s through tailrace/routing; ${rows} orders with two secondary indexes, 1,000 customers with a UNIQUE column`,
      `pause: from the application's last success before to its first after; ${rounds - cutovers} rehearsals and ${cutovers} cutovers a log`,
      place.postgres,
    ],
    tables: [pauses(figures, place.logs), stepTimes(figures, place.logs)],
    skipped: place.skipped,
    rounds: figures,
  };
};

function pauses(figures: readonly Figure[], logs: readonly LogKind[]) {
  const rows = logs.flatMap((log) =>
    (["rehearse", "run"] as const).map((kind) => {
      const found = figures.filter((figure) => figure.log === log && figure.kind === kind);
      const seen = found.map(({ pauseMs }) => pauseMs);
      const tool = found.map(({ toolPauseMs }) => toolPauseMs);
      return [
        log,
        kind,
        found.length,
        ...[0.5, 0.99].map((share) => rounded(percentile(seen, share), 0)),
        rounded(Math.max(...seen), 0),
        rounded(median(tool), 0),
      ];
    }),
  );
  return { title: "write pause, ms", columns: ["log", "kind", "n", "p50", "p99", "most", "tool p50"], rows };
}

async function rehearsals(line: Line, log: LogKind, count: number, options: BenchOptions): Promise<readonly Figure[]> {
  const figures: Figure[] = [];
  for (let n = 1; n <= count; n++) figures.push(...(await measured(line, log, "rehearse", options)));
  return figures;
}
