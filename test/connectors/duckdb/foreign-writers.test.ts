/**
 * Files that other versions of DuckDB write, read while they are open there. `TAILRACE_DUCKDB_WRITERS` says where the Python packages of these versions
 * are unpacked: `1.3=DIR,1.4=DIR,...`; a version that is not named there is skipped by name.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DuckDbFile } from "../../support/duckdb.js";
import type { Row } from "../../../core/vocabulary/value.js";

const packages = new Map(
  (process.env.TAILRACE_DUCKDB_WRITERS ?? "").split(",").flatMap((said): [string, string][] => {
    const [version, directory] = said.split("=");
    return version === undefined || directory === undefined ? [] : [[version, directory]];
  }),
);

class ForeignWriter {
  private constructor(
    private readonly child: ChildProcess,
    private readonly lines: AsyncIterator<string>,
    readonly version: string,
  ) {}

  static async start(directory: string): Promise<ForeignWriter> {
    const child = spawn("python3", ["test/support/duckdb-foreign.py"], {
      env: { ...process.env, PYTHONPATH: directory },
      stdio: ["pipe", "pipe", "inherit"],
    });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    return new ForeignWriter(child, lines, String((await lines.next()).value));
  }

  async run(sql: string): Promise<void> {
    this.child.stdin?.write(`${sql.replaceAll("\n", " ")}\n`);
    expect((await this.lines.next()).value, sql).toBe("done");
  }

  async end(): Promise<void> {
    this.child.stdin?.end();
    if (this.child.exitCode === null) await once(this.child, "exit");
  }
}

let file: DuckDbFile;
let writer: ForeignWriter | null = null;
beforeEach(() => {
  file = new DuckDbFile();
});
afterEach(async () => {
  await writer?.end();
  writer = null;
  await file[Symbol.asyncDispose]();
});

async function startWriter(version: string, options = ""): Promise<ForeignWriter> {
  writer = await ForeignWriter.start(packages.get(version) ?? "");
  await writer.run(`ATTACH '${file.path}' AS app ${options}`);
  await writer.run("USE app");
  await writer.run(`CREATE TABLE t (id BIGINT PRIMARY KEY, v VARCHAR, n DECIMAL(18,2), at_ TIMESTAMP, l INTEGER[]); INSERT INTO t SELECT range, 'v' || range, range / 4,
    TIMESTAMP '2024-01-01' + to_seconds(range), [range, NULL] FROM range(5000)`);
  return writer;
}

async function rowsRead(): Promise<readonly Row[]> {
  await using inspector = await file.inspector();
  const [table] = (await inspector.catalog()).tables;
  if (table === undefined) throw new Error("the table is not listed");
  const rows: Row[] = [];
  for await (const page of inspector.rows(table)) rows.push(...page);
  return rows;
}

async function expectReadWhileOpen(foreign: ForeignWriter): Promise<void> {
  expect(await rowsRead()).toHaveLength(5_000);
  await foreign.run("UPDATE t SET v = 'changed', n = -0.25 WHERE id = 7; DELETE FROM t WHERE id >= 4000");
  const live = await rowsRead();
  expect([live.length, live[7]?.slice(0, 3)]).toEqual([4_000, [7n, "changed", "-0.25"]]);
  await foreign.run("CHECKPOINT");
  await foreign.run("INSERT INTO t SELECT range, 'bulk', 0, NULL, [] FROM range(10000, 210000)");
  expect(await rowsRead()).toHaveLength(204_000);
}

describe("files that other versions keep open for writing are read as they are", () => {
  test.for(["1.3", "1.4", "1.5"])("DuckDB %s", async (version, { skip }) => {
    skip(!packages.has(version), `no package of DuckDB ${version} is at hand`);
    const foreign = await startWriter(version);
    expect(foreign.version.startsWith(`${version}.`), foreign.version).toBe(true);
    await expectReadWhileOpen(foreign);
  });

  test("DuckDB 2.0 with the storage of 1.5", async ({ skip }) => {
    const version = "2.0";
    skip(!packages.has(version), `no package of DuckDB ${version} is at hand`);
    await expectReadWhileOpen(await startWriter(version, "(STORAGE_VERSION 'v1.5.0')"));
  });

  test("DuckDB 2.0 with its own storage is refused by name", async ({ skip }) => {
    const version = "2.0";
    skip(!packages.has(version), `no package of DuckDB ${version} is at hand`);
    const foreign = await startWriter(version);
    await foreign.run("CHECKPOINT");
    await expect(rowsRead()).rejects.toMatchObject({ code: "source.storage-version" });
  });
});
