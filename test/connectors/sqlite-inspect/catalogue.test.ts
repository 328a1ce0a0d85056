import { describe, expect, test } from "vitest";
import { SourceFile } from "./source-file.js";

describe("the key of a table", () => {
  test.each([
    ["CREATE TABLE t(id INTEGER PRIMARY KEY, a)", ["id"]],
    ["CREATE TABLE t(a, id INTEGER, PRIMARY KEY(id))", ["id"]],
    ["CREATE TABLE t(id INTEGER PRIMARY KEY DESC, a)", ["id"]],
    ["CREATE TABLE t(a TEXT, b INT, c, PRIMARY KEY(c, a))", ["c", "a"]],
    ["CREATE TABLE t(a TEXT, b INT, PRIMARY KEY(b DESC, a)) WITHOUT ROWID", ["b", "a"]],
    ["CREATE TABLE t(id TEXT PRIMARY KEY) STRICT", ["id"]],
    ["CREATE TABLE t(id TEXT COLLATE binary PRIMARY KEY)", ["id"]],
    ["CREATE TABLE t(a, b INT NOT NULL UNIQUE)", ["b"]],
    ["CREATE TABLE t(a NOT NULL, b NOT NULL, c NOT NULL, UNIQUE(a, b), UNIQUE(c))", ["c"]],
    ["CREATE TABLE t(id TEXT PRIMARY KEY, b NOT NULL UNIQUE); INSERT INTO t VALUES (NULL, 1)", ["b"]],
    ["CREATE TABLE t(id TEXT COLLATE NOCASE PRIMARY KEY, b NOT NULL UNIQUE)", ["b"]],
    ["CREATE TABLE t(rowid TEXT, oid TEXT, _rowid_ TEXT PRIMARY KEY)", ["_rowid_"]],
    ["CREATE TABLE t(id TEXT PRIMARY KEY); INSERT INTO t VALUES ('a'), (NULL)", "table.null-key"],
    ["CREATE TABLE t(a, b, PRIMARY KEY(a, b)); INSERT INTO t VALUES (1, NULL)", "table.null-key"],
    ["CREATE TABLE t(id TEXT COLLATE NOCASE PRIMARY KEY)", "table.key-collation"],
    ["CREATE TABLE t(a, b COLLATE RTRIM, PRIMARY KEY(a, b)) WITHOUT ROWID", "table.key-collation"],
    ["CREATE TABLE t(id TEXT COLLATE NOCASE, PRIMARY KEY(id COLLATE BINARY))", "table.key-collation"],
    ["CREATE TABLE t(a, b COLLATE NOCASE, PRIMARY KEY(a, b COLLATE binary)) WITHOUT ROWID", "table.key-collation"],
    ["CREATE TABLE t(a TEXT COLLATE NOCASE NOT NULL); CREATE UNIQUE INDEX i ON t(a COLLATE BINARY)", "table.no-key"],
    ["CREATE TABLE t(id INTEGER COLLATE NOCASE PRIMARY KEY)", ["id"]],
    ["CREATE TABLE t(a, b)", "table.no-key"],
    ["CREATE TABLE t(a UNIQUE, b)", "table.no-key"],
    ["CREATE TABLE t(a NOT NULL, b); CREATE UNIQUE INDEX i ON t(a) WHERE b > 0", "table.no-key"],
    ["CREATE TABLE t(a NOT NULL); CREATE UNIQUE INDEX i ON t(lower(a))", "table.no-key"],
    ["CREATE TABLE t(a TEXT NOT NULL); CREATE UNIQUE INDEX i ON t(a COLLATE NOCASE)", "table.no-key"],
    ["CREATE VIRTUAL TABLE t USING fts5(x)", "table.virtual"],
    [`CREATE TABLE t(id INTEGER PRIMARY KEY, ${Array.from({ length: 1_996 }, (_, i) => `c${i}`).join()})`, "table.too-wide"],
  ])("%s: %s", (sql, expected) => {
    using source = new SourceFile(sql);
    expect(source.keyOrRefusal("t")).toEqual(expected);
  });
});

describe("the catalogue", () => {
  test("leaves out SQLite's own tables, views and our own, and refuses names and tables that are not ours to read", () => {
    using source = new SourceFile(`
      CREATE TABLE a(id INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO a DEFAULT VALUES; ANALYZE;
      CREATE VIEW v AS SELECT * FROM a;
      CREATE TABLE _cdc_log(seq INTEGER PRIMARY KEY); CREATE TABLE _CDC_other(id INTEGER PRIMARY KEY);
      CREATE VIRTUAL TABLE f USING fts5(x); CREATE TEMP TABLE temporary(id INTEGER PRIMARY KEY);`);
    const { tables, refused } = source.inspector.catalog();
    expect(tables.map((table) => table.description.table)).toEqual(["a"]);
    expect(refused.map(({ table, code }) => [table, code])).toEqual([
      ["_CDC_other", "table.reserved"],
      ["f", "table.virtual"],
      ["f_config", "table.virtual"],
      ["f_content", "table.virtual"],
      ["f_data", "table.virtual"],
      ["f_docsize", "table.virtual"],
      ["f_idx", "table.virtual"],
    ]);
  });

  test.each([
    "",
    "select",
    'say "hi"',
    "line\nbreak",
    "😀",
    "__proto__",
    "constructor",
    "a'b",
    "ctid",
    "with space",
    "x".repeat(100),
    "t); DROP TABLE a; --",
  ])("takes a table and a column called %s", (name) => {
    const quoted = `"${name.replaceAll('"', '""')}"`;
    using source = new SourceFile(`CREATE TABLE ${quoted}(${quoted} TEXT, id INTEGER NOT NULL, PRIMARY KEY(${quoted}, id))`);
    source.app.prepare(`INSERT INTO ${quoted} VALUES ('x', 1)`).run();
    const table = source.table(name);
    expect(table.description.columns.map((column) => column.name)).toEqual([name, "id"]);
    expect([...source.inspector.rows(table)]).toEqual([[["x", 1n]]]);
    expect(source.inspector.profile(table)[0]).toMatchObject({ column: name, rows: 1, classes: { text: 1 } });
  });

  test("describes declared types, NULL, generated columns and classes", () => {
    using source = new SourceFile(`
      CREATE TABLE t(id INTEGER PRIMARY KEY, a VARCHAR(9) NOT NULL, b, c AS (id + 1), d AS (a || 'x') STORED, e REAL, f NUMERIC, g BLOB);
      INSERT INTO t(id, a, b) VALUES (1, 'x', 1), (2, 'y', 'text'), (3, 'z', x'00'), (4, 'z', 1.5), (5, 'z', CAST(x'ff' AS TEXT));`);
    const { description } = source.table("t");
    expect(
      description.columns.map((column) => [column.name, column.declaredType, column.nullable, column.generated, column.classes]),
    ).toEqual([
      ["id", "INTEGER", true, false, ["integer"]],
      ["a", "VARCHAR(9)", false, false, ["text"]],
      ["b", "", true, false, ["blob", "integer", "raw", "real", "text"]],
      ["c", "", true, true, ["integer"]],
      ["d", "", true, true, ["text"]],
      ["e", "REAL", true, false, ["real"]],
      ["f", "NUMERIC", true, false, []],
      ["g", "BLOB", true, false, ["blob"]],
    ]);
    expect(description.key).toEqual([0]);
  });

  test("describes indexes: unique, partial, collated, by expression, and not the key's own", () => {
    using source = new SourceFile(`
      CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, a UNIQUE, b TEXT);
      CREATE UNIQUE INDEX u_nocase ON t(b COLLATE NOCASE);
      CREATE UNIQUE INDEX u_partial ON t(b) WHERE a > 0;
      CREATE INDEX i_both ON t(b, a DESC);
      CREATE INDEX i_expr ON t(lower(b), a);`);
    const { uniques, indexes } = source.table("t");
    expect(uniques).toEqual([
      { name: "sqlite_autoindex_t_2", columns: ["a"], partial: false, collated: false },
      { name: "u_nocase", columns: ["b"], partial: false, collated: true },
      { name: "u_partial", columns: ["b"], partial: true, collated: false },
    ]);
    expect(indexes).toEqual([
      { name: "i_both", columns: ["b", "a"], partial: false, collated: false },
      { name: "i_expr", columns: null, partial: false, collated: false },
    ]);
  });

  test("resolves foreign keys to names as their tables spell them, and an unnamed parent key to the primary key", () => {
    using source = new SourceFile(`
      CREATE TABLE Parent(A INT, B INT, C INT UNIQUE, PRIMARY KEY(B, A));
      CREATE TABLE child(id INTEGER PRIMARY KEY, x INT, y INT, z INT REFERENCES PARENT(c) ON DELETE CASCADE, q REFERENCES gone,
        FOREIGN KEY(X, y) REFERENCES parent);`);
    expect(source.table("child").foreignKeys).toEqual([
      { columns: ["z"], parent: "Parent", parentColumns: ["C"], onDelete: "CASCADE", onUpdate: "NO ACTION" },
      { columns: ["q"], parent: "gone", parentColumns: [], onDelete: "NO ACTION", onUpdate: "NO ACTION" },
      { columns: ["x", "y"], parent: "Parent", parentColumns: ["B", "A"], onDelete: "NO ACTION", onUpdate: "NO ACTION" },
    ]);
  });

  test("notes what stays at the source: triggers, defaults, checks", () => {
    using source = new SourceFile(`
      CREATE TABLE t(id INTEGER PRIMARY KEY, a DEFAULT 5 CHECK (a > 0), b AS (a + 1));
      CREATE TRIGGER theirs AFTER INSERT ON T BEGIN SELECT 1; END;
      CREATE TRIGGER _cdc_1_i AFTER INSERT ON t BEGIN SELECT 1; END;`);
    expect(source.table("t").notes).toEqual([
      "The table has triggers of its own, which stay at the source: theirs",
      "Generated columns arrive as plain columns with their values: b",
      "Default values of 1 columns are not carried over",
      "CHECK constraints are not carried over",
    ]);
  });

  test("estimates rows without reading a large table", () => {
    using source = new SourceFile(`
      CREATE TABLE small(id INTEGER PRIMARY KEY); INSERT INTO small VALUES (1), (1000000);
      CREATE TABLE large(id INTEGER PRIMARY KEY);
      WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 250000) INSERT INTO large SELECT i FROM n;`);
    expect(source.table("small").rowsEstimated).toBe(2);
    expect(source.table("large").rowsEstimated).toBe(250_000);
  });
});
