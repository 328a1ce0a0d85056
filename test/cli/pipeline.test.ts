/**
 * The life of one pipeline by the command alone: init, doctor, plan, apply, run, status, pause, snapshot, wait, destroy, on a real file, the
 * embedded log and the embedded PostgreSQL. The JSON shapes that scripts rely on are pinned here.
 */
import { type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { removeEmbeddedPostgres } from "../../connectors/postgres/embedded.js";
import { freePorts, portsOfPipeline } from "../support/ports.js";
import { answerOf, type Ended, shapeOf, start, tailrace } from "./command.js";

let directory: string;
let service: { readonly child: ChildProcess; readonly ended: Promise<Ended> } | null = null;

const schema = `
  CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT UNIQUE);
  CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER REFERENCES customers(id), total REAL, placed DATETIME);
  CREATE TABLE heap (a TEXT);
`;

function write(sql: string): void {
  const database = new Database(join(directory, "shop.db"));
  try {
    database.exec(sql);
  } finally {
    database.close();
  }
}

const command = (...words: string[]): Promise<Ended> => tailrace(words, { cwd: directory });
const json = async (...words: string[]): Promise<Record<string, unknown>> => answerOf(await command(...words, "--json"));

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "tailrace-pipeline-"));
  write(`${schema} INSERT INTO customers VALUES (1, 'Ada', 'ada@example.net'), (2, 'Bo', NULL);
    INSERT INTO orders VALUES (1, 1, 9.5, '2026-01-02 03:04:05'), (2, 2, 0.1, '2026-01-02T03:04:05Z');`);
});

afterAll(async () => {
  service?.child.kill("SIGKILL");
  await service?.ended;
  await removeEmbeddedPostgres(join(directory, ".tailrace", "postgres"));
  rmSync(directory, { recursive: true, force: true });
});

describe("a pipeline by the command alone", () => {
  it("init looks at the file and writes settings that are taken, once", async () => {
    const answer = await json("init", "--source", "shop.db");
    expect(answer).toMatchObject({ kind: "Init", pipeline: "shop", tables: ["customers", "heap", "orders"].filter((t) => t !== "heap") });
    const text = readFileSync(join(directory, "tailrace.yaml"), "utf8");
    expect(text.split("\n")[0]).toBe("# yaml-language-server: $schema=./.tailrace/tailrace.schema.json");
    expect(existsSync(join(directory, ".tailrace", "tailrace.schema.json"))).toBe(true);
    expect((await command("config", "validate")).code).toBe(0);
    expect((await command("init", "--source", "shop.db")).code).toBe(2);
    const [base = 0] = await freePorts(portsOfPipeline);
    writeFileSync(join(directory, "tailrace.yaml"), `${text}http: { listen: 127.0.0.1:${base} }\n`);
  });

  it("doctor says what is wrong, where, why and what to do, and exits 3", async () => {
    const ended = await command("doctor", "--json");
    expect(ended.code).toBe(3);
    const { checks, ...rest } = answerOf(ended) as { checks: { id: string; severity: string; fix: string; code: string | null }[] };
    expect(rest).toMatchObject({ apiVersion: "tailrace/v1", kind: "Doctor", ok: false, errors: 1 });
    expect(shapeOf(checks[0])).toEqual({
      id: "string",
      group: "string",
      severity: "string",
      what: "string",
      where: "string",
      why: "string",
      fix: "string",
      code: "null",
    });
    expect(checks.find(({ severity }) => severity === "error")).toMatchObject({
      id: "source.wal",
      code: "source.mode",
      fix: expect.stringContaining("--set-wal") as unknown,
    });
    expect(checks.find(({ id }) => id === "source.table-left-out")).toMatchObject({ where: "heap", code: "table.no-key" });
    expect(checks.filter(({ severity }) => severity === "ok").map(({ id }) => id)).toEqual(
      expect.arrayContaining([
        "settings.valid",
        "source.opens",
        "source.writable",
        "data.values",
        "log.reachable",
        "target.connects",
        "target.tables",
      ]),
    );
  });

  it("run and snapshot refuse before apply, and say so", async () => {
    const run = await command("run", "source");
    expect([run.code, run.stderr]).toEqual([6, expect.stringContaining("source.not-applied")]);
    const snapshot = await command("snapshot", "--all");
    expect([snapshot.code, snapshot.stderr]).toEqual([7, expect.stringContaining("tailrace apply")]);
  });

  it("plan is the same text twice and changes nothing", async () => {
    const before = readFileSync(join(directory, "shop.db"));
    const [first, second] = [await command("plan"), await command("plan")];
    expect([first.code, first.stdout]).toEqual([0, second.stdout]);
    expect(first.stdout).toContain("orders → public.orders");
    expect(first.stdout).toMatch(/placed\s+DATETIME\s+timestamp with time zone\s+iso/);
    expect(first.stdout).toContain("foreign key orders_customer_fkey (customer) → customers (id)");
    expect(first.stdout).toContain("every value that is there now fits its target column");
    expect(readFileSync(join(directory, "shop.db")).equals(before)).toBe(true);
    const sql = await command("plan", "--print-sql");
    expect(sql.stdout).toMatch(/^-- target: embedded PostgreSQL[\s\S]*CREATE TABLE[\s\S]*-- source: [\s\S]*CREATE TRIGGER/);
    expect(shapeOf(await json("plan"))).toMatchObject({
      kind: "string",
      pipeline: "string",
      places: { source: "string", log: "string", target: "string" },
      tables: [{ source: "string", topic: "string", columns: [{ type: "string" }] }],
      topics: [{ topic: "string", exists: "boolean" }],
      sql: { source: ["string"], target: ["string"] },
      next: ["string"],
    });
  });

  it("apply is refused outside WAL mode with nothing changed, then done, then nothing to do", async () => {
    const refused = await command("apply", "--json");
    expect([refused.code, JSON.parse(refused.stderr.split("\n").findLast((line) => line.startsWith("{")) ?? "{}")]).toEqual([
      7,
      expect.objectContaining({ code: "source.mode", retryable: false }),
    ]);
    const first = answerOf(await command("apply", "--set-wal", "--json"));
    expect(first).toMatchObject({ kind: "Apply", changed: true, leftOut: [{ table: "heap" }] });
    expect(shapeOf(first)).toMatchObject({
      tables: [{ source: "string", target: "string" }],
      executed: { target: ["string"], topics: ["string"], source: ["string"] },
      next: ["string"],
    });
    expect(await json("apply")).toMatchObject({ changed: false });
  });

  it("run copies, follows, and status tells the truth", async () => {
    service = start(["run"], { cwd: directory });
    expect(await json("wait", "caught-up", "--timeout", "120s")).toMatchObject({ kind: "Wait", condition: "caught-up", held: true });
    write(
      "INSERT INTO customers VALUES (3, 'Cy', 'cy@example.net'); UPDATE orders SET total = 1 WHERE id = 1; DELETE FROM orders WHERE id = 2;",
    );
    expect((await command("wait", "caught-up")).code).toBe(0);
    expect((await command("wait", "state=running")).code).toBe(0);
    let status: Record<string, unknown> = {};
    // The source hears in its own time what the target has applied, and who would carry changes back begins in its own.
    await expect
      .poll(async () => (status = await json("status")), { timeout: 120_000 })
      .toMatchObject({
        kind: "Status",
        pipeline: "shop",
        state: "running",
        phase: "streaming",
        behind: { changes: 0, ms: 0, why: null },
        wayBack: null,
        needsPerson: [],
      });
    expect(status["tables"]).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ table: "orders", target: "public.orders", taken: 4 }),
        expect.objectContaining({ table: "customers", taken: 3 }),
      ]),
    );
    expect(shapeOf(status)).toEqual({
      apiVersion: "string",
      kind: "string",
      pipeline: "string",
      state: "string",
      direction: "string",
      phase: "string",
      services: [{ service: "string", state: "string", why: "null", code: "null", attempt: "null", sinceMs: "number" }],
      positions: { head: "string", log: "string", applied: "string" },
      behind: { changes: "number", ms: "number", why: "null" },
      captureLog: {
        bytes: "number",
        ms: "number",
        freeBytes: "number",
        retain: "string",
        maxBytes: "number",
        alarm: "null",
        forgotten: "boolean",
      },
      lastLook: "null",
      wayBack: "null",
      tables: [
        {
          table: "string",
          target: "string",
          phase: "string",
          rowsRead: "number",
          rowsEstimated: "number",
          taken: "number",
          applied: "number",
        },
      ],
      verification: {
        provenAt: expect.stringMatching(/^(string|null)$/) as unknown,
        oldestMs: expect.anything() as unknown,
        mismatches: "number",
      },
      needsPerson: [],
      next: [],
    });
  });

  it("pause keeps changes in the log, resume lets them go, both twice", async () => {
    expect(await json("pause")).toEqual({
      apiVersion: "tailrace/v1",
      kind: "Paused",
      pipeline: "shop",
      paused: true,
      changed: true,
      next: ["tailrace resume"],
    });
    expect(await json("pause")).toMatchObject({ paused: true, changed: false });
    expect((await command("wait", "state=paused")).code).toBe(0);
    // That is the wish that the target has on record; the sink hears of it a little later, and applies what comes until then.
    const services = async (): Promise<unknown> => (await json("status"))["services"];
    await expect.poll(services, { timeout: 120_000 }).toContainEqual(expect.objectContaining({ service: "sink", state: "paused" }));
    const late = await command("wait", "caught-up", "--timeout", "300ms");
    expect([late.code, late.stdout]).toEqual([5, expect.stringContaining("not caught-up")]);
    expect((await command("status", "--fail-if", "behind>0")).code).toBe(0);
    write("UPDATE customers SET name = 'Bea' WHERE id = 2");
    expect(await json("resume")).toMatchObject({ paused: false, changed: true });
    expect((await command("wait", "caught-up")).code).toBe(0);
  });

  it("snapshot copies a table again, and refuses one that is not captured", async () => {
    expect(await json("snapshot", "orders")).toMatchObject({ kind: "Snapshot", tables: ["orders"] });
    expect((await command("wait", "caught-up")).code).toBe(0);
    const refused = await command("snapshot", "order");
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining("did you mean 'orders'?")]);
  });

  it("run ends with 0 at SIGTERM, leaves no process, and status says that nobody answers", async () => {
    const running = service;
    if (running === null) throw new Error("run was not started");
    running.child.kill("SIGTERM");
    const { code, stdout, stderr } = await running.ended;
    service = null;
    expect([code, stdout]).toEqual([0, ""]);
    expect(stderr).toContain('"event":"sink.session"');
    expect(await json("status")).toMatchObject({ state: "down", behind: { changes: null }, next: ["tailrace run"] });
  });

  it("destroy lists what goes, wants --yes, and leaves nothing", async () => {
    const asked = await command("destroy");
    expect(asked.code).toBe(2);
    expect(asked.stderr).toContain('DROP TABLE "_cdc_log"');
    const answer = await json("destroy", "--yes", "--tables");
    expect(answer).toMatchObject({
      kind: "Destroy",
      places: [
        { place: "source", error: null },
        { place: "log", error: null },
        { place: "target", error: null },
      ],
      next: [],
    });
    const database = new Database(join(directory, "shop.db"), { readonly: true });
    const ours = database.prepare("SELECT name FROM sqlite_master WHERE name LIKE '\\_cdc\\_%' ESCAPE '\\'").all();
    database.close();
    expect(ours).toEqual([]);
    expect(existsSync(join(directory, ".tailrace", "log.db"))).toBe(false);
    expect(existsSync(join(directory, ".tailrace", "postgres"))).toBe(false);
    expect((await command("destroy", "--yes")).code).toBe(0);
  });

  it("destroy opens a source that was fenced off by a cutover only when it is told to", async () => {
    expect((await command("apply")).code).toBe(0);
    const database = new Database(join(directory, "shop.db"));
    database.exec("UPDATE _cdc_state SET fence_kept = 1");
    const writes = (): void => void database.prepare("UPDATE customers SET name = 'Ann'").run();
    const refused = await command("destroy", "--yes");
    expect([refused.code, refused.stderr]).toEqual([7, expect.stringContaining("cutover.fence-kept")]);
    expect(writes).toThrow("fenced off");
    expect((await command("destroy", "--yes", "--open-source")).code).toBe(0);
    expect(writes).not.toThrow();
    database.close();
  });

  it("destroy frees the source when PostgreSQL is gone, and says what is left", async () => {
    expect((await command("apply")).code).toBe(0);
    const file = join(directory, "tailrace.yaml");
    writeFileSync(file, `${readFileSync(file, "utf8")}target: { url: "postgresql://nobody@127.0.0.1:1/gone" }\n`);
    const ended = await command("destroy", "--yes", "--json");
    expect([ended.code, ended.stderr]).toEqual([9, ""]);
    expect(answerOf(ended)).toMatchObject({
      places: [
        { place: "source", error: null },
        { place: "log", error: null },
        { place: "target", error: { code: "target.unavailable" } },
      ],
      next: ["tailrace destroy --yes"],
    });
    expect((await command("doctor", "--json")).code).toBe(3);
  });
});
