/**
 * What capture costs the application: CPU and time of its own commits, in one process, without and with triggers. Nobody reads the log meanwhile:
 * only what happens inside the application's transaction is measured.
 */
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type Database from "better-sqlite3";
import { openSqliteInspector } from "../connectors/sqlite/inspect/inspector.js";
import { openSqliteInstaller } from "../connectors/sqlite/installer.js";
import { pipelineId, theGroup } from "../core/vocabulary/ids.js";
import { debeziumLike } from "./debezium-like.js";
import type { Bench } from "./options.js";
import { bound, columns, ddl, insertSql, openApplication, order } from "./orders.js";
import { median, rounded, spread, turns } from "./report.js";

/** floor: triggers that put one integer into a table of their own. Less than that no log in the application's file can cost. */
type Variant = "none" | "ours" | "debezium-like" | "floor";
const variants: readonly Variant[] = ["none", "ours", "debezium-like", "floor"];
interface Figure {
  readonly variant: Variant;
  readonly workload: string;
  readonly round: number;
  readonly cpuUs: number;
  readonly wallUs: number;
}

export const overhead: Bench = async (options) => {
  const rounds = options.count("rounds", 7, 3);
  const commits = options.count("changes", 8_000, 4_000);
  const rows = options.count("rows", 60_000, 20_000);
  const figures: Figure[] = [];
  const bytes: { variant: Variant; megabytes: number }[] = [];
  // Round 0 warms the process up: its figures are not used.
  for (let round = 0; round <= rounds; round++) {
    options.say(`round ${round} of ${rounds}${round === 0 ? " (warm-up)" : ""}`);
    for (const variant of turns(variants, round)) {
      const measured = await measure(variant, round, { commits, rows });
      if (round === 0) continue;
      figures.push(...measured.figures);
      bytes.push({ variant, megabytes: measured.megabytes });
    }
  }
  const workloads = [...new Set(figures.map((figure) => figure.workload))];
  return {
    setup: [
      `${commits} commits of one row and ${rows} rows in transactions of 1,000, per kind and round; WAL, synchronous=NORMAL; ${rounds} rounds, variants in turn, one warm-up round dropped`,
      "ratios: median (least-most) of the rounds' own ratios to the same round without capture",
    ],
    tables: [
      {
        title: "application's CPU µs per row, and ratio to none",
        columns: ["workload", ...variants, "ours / none", "debezium-like / none", "floor / none", "wall: ours", "wall: debezium-like"],
        rows: workloads.map((workload) => rowOf(workload, figures)),
      },
      {
        title: "file after the transactions of 1,000 rows (inserts, then as many updates)",
        columns: ["variant", "MB"],
        rows: variants.map((variant) => [variant, rounded(median(bytes.filter((b) => b.variant === variant).map((b) => b.megabytes)), 1)]),
      },
    ],
    skipped: [],
    rounds: figures,
  };
};

function rowOf(workload: string, figures: readonly Figure[]): readonly (string | number)[] {
  const of = (variant: Variant, what: "cpuUs" | "wallUs"): readonly number[] =>
    figures
      .filter((f) => f.workload === workload && f.variant === variant)
      .toSorted((a, b) => a.round - b.round)
      .map((f) => f[what]);
  const ratio = (variant: Variant, what: "cpuUs" | "wallUs"): string => {
    const none = of("none", what);
    return spread(of(variant, what).map((us, i) => us / (none[i] ?? Number.NaN)));
  };
  const cpu = (variant: Variant): string => rounded(median(of(variant, "cpuUs")), 1);
  return [
    workload,
    ...variants.map(cpu),
    ratio("ours", "cpuUs"),
    ratio("debezium-like", "cpuUs"),
    ratio("floor", "cpuUs"),
    ratio("ours", "wallUs"),
    ratio("debezium-like", "wallUs"),
  ];
}

async function install(variant: Variant, path: string, application: Database.Database): Promise<void> {
  if (variant === "debezium-like") for (const sql of debeziumLike("orders", columns)) application.exec(sql);
  if (variant === "floor") {
    application.exec("CREATE TABLE noted (seq INTEGER PRIMARY KEY, t)");
    for (const event of ["INSERT", "UPDATE", "DELETE"])
      application.exec(`CREATE TRIGGER noted_${event} AFTER ${event} ON orders BEGIN INSERT INTO noted (t) VALUES (1); END`);
  }
  if (variant !== "ours") return;
  using inspector = openSqliteInspector(path, { group: theGroup });
  using installer = openSqliteInstaller({ path, pipeline: pipelineId("bench"), group: theGroup });
  await installer.apply(inspector.catalog().tables, { setWal: false });
}

async function measure(
  variant: Variant,
  round: number,
  { commits, rows }: { readonly commits: number; readonly rows: number },
): Promise<{ readonly figures: readonly Figure[]; readonly megabytes: number }> {
  const folder = mkdtempSync(join(tmpdir(), "tailrace-bench-overhead-"));
  const path = join(folder, "app.db");
  const application = openApplication(path);
  try {
    application.exec(ddl);
    await install(variant, path, application);
    const work = new Workloads(application);
    const figures: Figure[] = [];
    const run = (workload: string, size: number, changes: readonly Change[]): void => {
      const { cpuUs, wallUs } = timed(application, size, changes);
      figures.push({ variant, workload, round, cpuUs: cpuUs / changes.length, wallUs: wallUs / changes.length });
    };
    run(
      "1,000-row transactions: insert",
      1_000,
      times(rows, (i) => work.insert(1 + i)),
    );
    run(
      "1,000-row transactions: update",
      1_000,
      times(rows, (i) => work.update(1 + ((i * 7_919) % rows), 1)),
    );
    const megabytes = statSync(path).size / 1e6;
    run(
      "1,000-row transactions: delete",
      1_000,
      times(rows / 2, (i) => work.remove(rows / 2 + 1 + i)),
    );
    run(
      "1-row commits: insert",
      1,
      times(commits, (i) => work.insert(1_000_000 + i)),
    );
    run(
      "1-row commits: update",
      1,
      times(commits, (i) => work.update(1 + ((i * 7_919) % (rows / 2)), 2)),
    );
    run(
      "1-row commits: delete",
      1,
      times(commits, (i) => work.remove(1_000_000 + i)),
    );
    return { figures, megabytes };
  } finally {
    application.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A statement with its values: made before the clock runs. */
interface Change {
  readonly statement: Database.Statement;
  readonly values: readonly unknown[];
}
const times = (n: number, make: (i: number) => Change): readonly Change[] => Array.from({ length: n }, (_, i) => make(i));

class Workloads {
  readonly #insert;
  readonly #update;
  readonly #remove;

  constructor(application: Database.Database) {
    this.#insert = application.prepare(insertSql);
    this.#update = application.prepare("UPDATE orders SET qty = ?, price = ?, status = ?, updated_at = ? WHERE id = ?");
    this.#remove = application.prepare("DELETE FROM orders WHERE id = ?");
  }

  insert(id: number): Change {
    return { statement: this.#insert, values: bound(order(id, 0)) };
  }

  /** Never to the values that are there: SQLite would write nothing. */
  update(id: number, version: number): Change {
    const [, , , qty, price, status, at] = order(id, version);
    return { statement: this.#update, values: [BigInt(qty), price, status, BigInt(at), BigInt(id)] };
  }

  remove(id: number): Change {
    return { statement: this.#remove, values: [BigInt(id)] };
  }
}

function timed(
  application: Database.Database,
  size: number,
  changes: readonly Change[],
): { readonly cpuUs: number; readonly wallUs: number } {
  const execute = (from: number, to: number): void => {
    for (let i = from; i < to; i++) {
      const change = changes[i];
      change?.statement.run(...change.values);
    }
  };
  const transaction = application.transaction(execute);
  const cpu = process.cpuUsage();
  const began = process.hrtime.bigint();
  if (size === 1) execute(0, changes.length);
  else for (let from = 0; from < changes.length; from += size) transaction.immediate(from, Math.min(changes.length, from + size));
  const wallUs = Number(process.hrtime.bigint() - began) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  return { cpuUs: user + system, wallUs };
}
