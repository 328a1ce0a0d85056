import { type DemoResult, isEqual, runDemo } from "../demo/run-demo.js";
import { customersCount } from "../demo/shop-database.js";
import { shopStory } from "../demo/shop-story.js";
import { stockStory } from "../demo/stock-story.js";
import type { Story } from "../demo/story.js";
import { exits } from "../exit-codes.js";
import { usage, type Verb } from "../invocation.js";
import { formatCount, formatMs } from "../output/format.js";
import type { Paint } from "../output/output.js";
import { renderTable } from "../output/table.js";

const stories: Readonly<Record<string, Story>> = { sqlite: shopStory, duckdb: stockStory };

export const verb: Verb = async (invocation) => {
  const { options, out } = invocation;
  const kind = options.text("source") ?? "sqlite";
  const story = stories[kind];
  if (story === undefined) throw usage(`demo shows ${Object.keys(stories).join(" and ")}, not '${kind}'`);
  const result = await runDemo(invocation, {
    story,
    seconds: options.count("seconds", { least: 1, most: 3_600, fallback: 15 }),
    rows: options.count("rows", { least: customersCount, most: 500_000, fallback: 20_000 }),
    keep: options.flag("keep"),
  });
  const good = isGood(result);
  const example = kind === "sqlite" ? "your.db" : "your.duckdb";
  out.answer({
    kind: "Demo",
    data: dataOf(result, good),
    next: [`tailrace init --source ${example}`, "tailrace doctor"],
    text: (paint) => summary(result, story, good, paint),
  });
  return good ? exits.done : exits.differ;
};

const equalTables = ({ tables }: DemoResult): number => tables.filter(isEqual).length;
const rowsPerSecond = ({ snapshot }: DemoResult): number => Math.round((snapshot.rows / snapshot.ms) * 1000);

function isGood(result: DemoResult): boolean {
  const { streaming, verification, transactions, tables, moved } = result;
  const mended = verification.foundRows === 1 && verification.repairedRows === 1;
  return (
    mended &&
    (moved === null || (moved.cutover.ok && moved.rollback.ok)) &&
    equalTables(result) === tables.length &&
    streaming.halfTransactions === 0 &&
    transactions.source === transactions.target
  );
}

function dataOf(result: DemoResult, good: boolean): Readonly<Record<string, unknown>> {
  const { snapshot, streaming, verification, catchUpMs, tables, transactions, moved, ms, directory } = result;
  return {
    ok: good,
    snapshotRows: snapshot.rows,
    snapshotMs: Math.round(snapshot.ms),
    snapshotRowsPerSecond: rowsPerSecond(result),
    commitsStreamed: streaming.commits,
    commitToVisibleP50Ms: tenth(streaming.p50Ms),
    commitToVisibleP99Ms: tenth(streaming.p99Ms),
    halfTransactionsSeen: streaming.halfTransactions,
    looks: streaming.looks,
    verifiedRows: verification.rows,
    verifiedMs: Math.round(verification.ms),
    tamperedRowsFound: verification.foundRows,
    tamperedRowsRepaired: verification.repairedRows,
    repairMs: Math.round(verification.repairMs),
    catchUpMs: Math.round(catchUpMs),
    tablesEqual: equalTables(result),
    tablesCompared: tables.length,
    tables,
    transactionsAtSource: transactions.source,
    transactionsAtTarget: transactions.target,
    cutover: moved === null ? null : rounded(moved.cutover),
    rollback: moved === null ? null : rounded(moved.rollback),
    durationMs: Math.round(ms),
    directory,
  };
}

const rounded = <T extends { readonly pauseMs: number; readonly toolPauseMs: number | null }>(move: T): T => ({
  ...move,
  pauseMs: tenth(move.pauseMs),
  toolPauseMs: tenth(move.toolPauseMs),
});
const tenth = (ms: number | null): number | null => (ms === null ? null : Math.round(ms * 10) / 10);

function summary(result: DemoResult, { sum }: Story, good: boolean, paint: Paint): string {
  const { snapshot, streaming, verification, catchUpMs, tables, transactions, moved, ms, directory } = result;
  const rows = tables.reduce((sum, table) => sum + table.sourceRows, 0);
  const differ = tables.filter((table) => !isEqual(table)).map(({ table, different }) => `${table} (${formatCount(different)} rows)`);
  const lines: readonly (readonly [string, string, string])[] = [
    ["rows copied", formatCount(snapshot.rows), `${formatCount(rowsPerSecond(result))} rows/s, while the application wrote`],
    ["commits streamed", formatCount(streaming.commits), `the rest of ${formatCount(transactions.source)} was committed while copying`],
    ["commit ▸ visible", `p50 ${formatMs(streaming.p50Ms)}`, `p99 ${formatMs(streaming.p99Ms)}`],
    [
      "half transactions",
      formatCount(streaming.halfTransactions),
      `seen in ${formatCount(streaming.looks)} looks at the sum of all ${sum.name}`,
    ],
    ["rows verified", formatCount(verification.rows), `both sides, in ${formatMs(verification.ms)}, while the application wrote`],
    [
      "tampering",
      `${formatCount(verification.foundRows)} found`,
      `${verification.found}; mended ${formatMs(verification.repairMs)} after it was asked for`,
    ],
    ["last commit", formatMs(catchUpMs), "from the last write until the target had all"],
    [
      "tables equal",
      `${equalTables(result)} of ${tables.length}`,
      differ.length === 0 ? `${formatCount(rows)} rows, every value compared` : `differing: ${differ.join(", ")}`,
    ],
    [
      "transactions",
      `${formatCount(transactions.source)} = ${formatCount(transactions.target)}`,
      "committed at the source, found at the target",
    ],
    ...(moved === null
      ? []
      : ([
          ["cutover", formatMs(moved.cutover.pauseMs), "the application could not write, then went on in PostgreSQL"],
          ["rollback", formatMs(moved.rollback.pauseMs), "the same on the way home: everything written in PostgreSQL is in the file"],
        ] as const)),
    ["duration", formatMs(ms), "all of it"],
  ];
  return [
    "",
    paint.bold("Measured just now, on this machine"),
    renderTable(
      [{ title: "" }, { title: "", right: true }, { title: "" }],
      lines.map(([name, value, remark]) => [`  ${name}`, paint.bold(value), paint.dim(remark)]),
      paint,
    ),
    good
      ? paint.green("Everything arrived, exactly once, in whole transactions.")
      : paint.red("The two sides differ: this is a fault of Tailrace, please report it."),
    ...(directory === null ? [] : [`kept: ${directory}`]),
    "",
  ].join("\n");
}
