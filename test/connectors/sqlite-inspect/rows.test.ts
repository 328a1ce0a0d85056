import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { pagesOf } from "../../../connectors/sqlite/inspect/pages.js";
import { makePlan } from "../../../core/plan/make-plan.js";
import { pipelineId } from "../../../core/vocabulary/ids.js";
import { isRawText, type Row, type Value } from "../../../core/vocabulary/value.js";
import { SourceFile } from "./source-file.js";

describe("rows", () => {
  test("come with their exact values", () => {
    using source = new SourceFile(`CREATE TABLE t(id INTEGER PRIMARY KEY, v);
      INSERT INTO t VALUES (1, 9223372036854775807), (2, -9223372036854775808), (3, 9e999), (4, 1.0), (5, 1), (6, 'a' || char(0) || 'b'),
        (7, CAST(x'61ff' AS TEXT)), (8, char(65533)), (9, x''), (10, ''), (11, NULL), (12, -0.0), (13, 5e-324), (14, char(128512));`);
    const values = [...source.inspector.rows(source.table("t"))].flat().map((row) => row[1]);
    expect(values).toEqual([
      2n ** 63n - 1n,
      -(2n ** 63n),
      Infinity,
      1,
      1n,
      "a\0b",
      { rawText: Buffer.from([0x61, 0xff]) },
      "\ufffd",
      Buffer.alloc(0),
      "",
      null,
      -0,
      5e-324,
      "😀",
    ]);
  });

  test("come in key order by pages, each row once, while the application writes between the pages", () => {
    using source = new SourceFile("CREATE TABLE t(id INTEGER PRIMARY KEY, v)");
    const insert = source.app.prepare("INSERT INTO t VALUES (?, 'x')");
    source.app.transaction(() => {
      for (let i = 1; i <= 5_000; i++) insert.run(i * 2);
    })();
    const seen: Value[] = [];
    for (const page of source.inspector.rows(source.table("t"))) {
      expect(page.length).toBeLessThanOrEqual(2_000);
      seen.push(...page.map((row) => row[0] ?? null));
      insert.run(1_000_000 + seen.length);
      expect(source.app.pragma("wal_checkpoint(TRUNCATE)")).toMatchObject([{ busy: 0 }]);
    }
    expect(seen.slice(0, 5_000)).toEqual(Array.from({ length: 5_000 }, (_, i) => BigInt(i * 2 + 2)));
    expect(new Set(seen).size).toBe(seen.length);
  });

  test("of any keys, text that is not UTF-8 and mixed classes included, come once each whatever the page's size", () => {
    const part: fc.Arbitrary<bigint | number | string | Uint8Array> = fc.oneof(
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      fc.double({ noNaN: true }),
      fc.string({ unit: "binary", maxLength: 3 }),
      fc.uint8Array({ maxLength: 3 }),
      fc.constantFrom("1", "1.0", 1n, 1, "a\0", "\ufffd", ""),
    );
    const key = fc.tuple(part, part, fc.boolean());
    const declared = fc.constantFrom("a, b", "a TEXT, b", "a INTEGER, b NUMERIC", "a BLOB, b REAL");
    fc.assert(
      fc.property(
        declared,
        fc.array(key, { maxLength: 30 }),
        fc.integer({ min: 1, max: 7 }),
        fc.boolean(),
        (columns, keys, size, withoutRowid) => {
          using source = new SourceFile(`CREATE TABLE t(${columns}, PRIMARY KEY(a, b)) ${withoutRowid ? "WITHOUT ROWID" : ""}`);
          const plain = source.app.prepare("INSERT OR IGNORE INTO t VALUES (?, ?)");
          const asText = source.app.prepare("INSERT OR IGNORE INTO t VALUES (CAST(? AS TEXT), ?)");
          for (const [a, b, raw] of keys) (raw && a instanceof Uint8Array ? asText : plain).run(a, b);
          const { description } = source.table("t");
          const sql = "SELECT typeof(a) || quote(CAST(a AS BLOB)) || typeof(b) || quote(CAST(b AS BLOB)) FROM t ORDER BY a, b";
          const expected = source.app.prepare(sql).pluck().all();
          const pages = [...pagesOf(source.app, description, size)];
          const given = pages.flat().map((row) => row.map((value) => quoted(source, value)).join(""));
          expect(given).toEqual(expected);
        },
      ),
      { numRuns: 60 },
    );
  });
});

function quoted(source: SourceFile, value: Value): unknown {
  if (isRawText(value)) return `text${String(source.app.prepare("SELECT quote(?)").pluck().get(value.rawText))}`;
  return source.app.prepare("SELECT typeof(v) || quote(CAST(v AS BLOB)) FROM (SELECT ? AS v)").pluck().get(value);
}

describe("the profile", () => {
  test("counts classes, NULLs, NUL, range, length and what each suggested type refuses", () => {
    using source = new SourceFile(`CREATE TABLE t(id INTEGER PRIMARY KEY, v DECIMAL(5,2), w TEXT);
      INSERT INTO t VALUES (1, 1.5, 'é'), (2, 1.555, 'a' || char(0)), (3, 7, NULL), (4, 'abc', CAST(x'ff' AS TEXT)), (5, NULL, x'000000');`);
    const [id, v, w] = source.inspector.profile(source.table("t"));
    expect(id).toMatchObject({ rows: 5, nulls: 0, classes: { integer: 5 }, integerMin: 1n, integerMax: 5n, fits: [] });
    expect(v).toMatchObject({ nulls: 1, classes: { integer: 1, real: 2, text: 1 }, integerMin: 7n });
    expect(v?.fits.map(({ type, refused }) => [type, refused])).toEqual([
      ["numeric(5,2)", 2],
      ["numeric", 1],
    ]);
    expect(w).toMatchObject({ nulls: 1, classes: { text: 2, raw: 1, blob: 1 }, textWithNul: 1, bytesMax: 3 });
  });
});

test("a whole schema goes from file to plan: Prisma's tables with both forms of time", () => {
  using source = new SourceFile(`
    CREATE TABLE "User"("id" TEXT NOT NULL PRIMARY KEY, "username" TEXT NOT NULL, "createdAt" DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP);
    CREATE UNIQUE INDEX "User_username_key" ON "User"("username");
    CREATE TABLE "Bot"("id" TEXT NOT NULL PRIMARY KEY, "userId" TEXT NOT NULL, "paused" BOOLEAN NOT NULL DEFAULT false, "at" DATETIME,
      CONSTRAINT "Bot_userId_fkey" FOREIGN KEY ("userId") REFERENCES "User"("id") ON DELETE RESTRICT ON UPDATE CASCADE);
    INSERT INTO "User" VALUES ('u1', 'ann', '2026-11-20 10:11:12');
    INSERT INTO "Bot" VALUES ('b1', 'u1', 0, 1700000000000), ('b2', 'u1', 1, '2026-11-20 10:11:12');`);
  const catalog = source.inspector.catalog();
  const { plan } = makePlan({
    pipeline: pipelineId("bots"),
    prefix: "bots",
    settings: { tables: new Map(), onlyListedTables: false, target: { url: null, schema: "public" } },
    catalog,
    profiles: new Map(catalog.tables.map((table) => [table.description.table, source.inspector.profile(table)])),
    now: new Date(0),
  });
  const rows = (name: string): readonly Row[] => [...source.inspector.rows(source.table(name))].flat();
  expect(rows("User")).toHaveLength(1);
  expect(plan.tables.map((table) => [table.target.name, table.columns.map((column) => column.type)])).toEqual([
    ["User", ["text", "text", "timestamp with time zone"]],
    ["Bot", ["text", "text", "boolean", "text"]],
  ]);
  expect(plan.tables[0]?.indexes).toEqual([{ name: "User_username_key", columns: ["username"], unique: true }]);
  expect(plan.tables[1]?.foreignKeys).toMatchObject([
    { columns: ["userId"], parent: { schema: "public", name: "User" }, parentColumns: ["id"] },
  ]);
});

test("inspecting writes nothing and leaves the file's journal mode alone", () => {
  using source = new SourceFile("CREATE TABLE t(id INTEGER PRIMARY KEY)");
  const before = source.app.pragma("data_version", { simple: true });
  source.inspector.profile(source.table("t"));
  expect(source.app.pragma("data_version", { simple: true })).toBe(before);
  expect(source.app.pragma("journal_mode", { simple: true })).toBe("wal");
});
