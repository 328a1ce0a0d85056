import { describe, expect, test } from "vitest";
import { tableId } from "../../../core/vocabulary/ids.js";
import { map, planOf, said, type TableWords } from "./catalogue-of.js";

const drop = { kind: "drop" } as const;

describe("names", () => {
  test("are kept as the source spells them, odd ones too", () => {
    const name = 'we"ird\n😀; DROP';
    const { plan, findings } = planOf({ tables: [{ name, columns: ["id INTEGER!", "__proto__ TEXT"] }] });
    expect(findings).toEqual([]);
    expect(plan.tables[0]).toMatchObject({ source: name, target: { schema: "public", name }, key: ["id"] });
    expect(plan.tables[0]?.columns.map((column) => column.target)).toEqual(["id", "__proto__"]);
  });

  test.each([
    ["t", "sales.orders", { schema: "sales", name: "orders" }],
    ["t", "orders", { schema: "public", name: "orders" }],
    ["t", '"a.b".c', { schema: "a.b", name: "c" }],
    ["t", 'x."say ""hi"""', { schema: "x", name: 'say "hi"' }],
    ["a.b", undefined, { schema: "public", name: "a.b" }],
  ])("table %s to %s", (name, to, target) => {
    const { plan } = planOf({ tables: [{ name, columns: ["id INTEGER"] }], settings: to === undefined ? {} : { [name]: { to } } });
    expect(plan.tables[0]?.target).toEqual(target);
  });

  test.each([
    ["", undefined],
    ["x".repeat(64), undefined],
    ["é".repeat(32), undefined],
    ["t", "a.b.c"],
    ["t", "pg_catalog.t"],
    ["t", "information_schema.t"],
    ["t", "tailrace.t"],
    ["t", "."],
    ["t", ""],
  ])("table '%s' to %s is refused", (name, to) => {
    const result = planOf({ tables: [{ name, columns: ["id INTEGER"] }], settings: to === undefined ? {} : { [name]: { to } } });
    expect(said(result)).toEqual(["error table.name"]);
    expect(result.plan.tables).toEqual([]);
  });

  test.each(["ctid", "xmin", "tableoid", "x".repeat(64)])("column %s is refused, and taken under another name", (name) => {
    const tables = [{ name: "t", columns: ["id INTEGER", `${name} TEXT`] }];
    expect(said(planOf({ tables }))).toEqual([`error plan.refused ${name}`]);
    expect(said(planOf({ tables, settings: { t: { columns: { [name]: map({ to: "c" }) } } } }))).toEqual([]);
  });

  test("two columns that would be one at the target are refused by name", () => {
    const tables = [{ name: "t", columns: ["id INTEGER", "a TEXT", "b TEXT"] }];
    const result = planOf({ tables, settings: { t: { columns: { a: map({ to: "ID" }) } } } });
    expect(said(result)).toEqual(["error plan.refused a"]);
    expect(result.findings[0]?.what).toContain("'id' and 'a'");
  });

  test("two tables with one target are refused, case twins too", () => {
    const tables = ["a", "b", "c"].map((name) => ({ name, columns: ["id INTEGER"] }));
    const result = planOf({ tables, settings: { a: { to: "x.t" }, b: { to: "x.T" } } });
    expect(said(result)).toEqual(["error plan.refused"]);
    expect(result.plan.tables.map((table) => table.source)).toEqual(["a", "c"]);
  });

  test("control characters of a name do not reach the text of a finding", () => {
    const result = planOf({ tables: [{ name: `\u001b[31m${"x".repeat(64)}`, columns: ["id INTEGER"] }] });
    expect(result.findings[0]?.what).not.toContain("\u001b");
  });

  test("two topics that Kafka takes for one are a warning", () => {
    const tables = ["a.b", "a_b"].map((name) => ({ name, columns: ["id INTEGER"] }));
    expect(said(planOf({ tables }))).toEqual(["warning table.name"]);
  });
});

describe("settings", () => {
  const tables = [
    { name: "orders", columns: ["id INTEGER!", "placed INTEGER", "legacy TEXT", "note TEXT"], rows: [[1n, 1700000000000n, "x", "y"]] },
    { name: "other", columns: ["id INTEGER"] },
  ];

  test("rename, convert, drop and add a constant", () => {
    const { plan, findings } = planOf({
      tables,
      settings: {
        orders: {
          to: "sales.orders",
          columns: {
            placed: map({ to: "placed_at", type: "timestamptz", from: "epoch-ms" }),
            legacy: drop,
            note: map({ type: "varchar(20)" }),
            origin: { kind: "constant", value: "v1", type: null },
          },
        },
      },
    });
    expect(findings).toEqual([]);
    expect(plan.tables[0]).toMatchObject({
      dropped: ["legacy"],
      columns: [
        { source: "id", target: "id", type: "bigint", nullable: false, written: "always" },
        { source: "placed", target: "placed_at", type: "timestamp with time zone", conversion: { kind: "epoch", unit: "ms" } },
        { source: "note", target: "note", type: "character varying(20)" },
        { source: null, target: "origin", type: "text", written: "insert", constant: "v1" },
      ],
    });
  });

  test("`from` alone makes a timestamptz", () => {
    const { plan } = planOf({ tables, settings: { orders: { columns: { placed: map({ from: "epoch-s" }) } } } });
    expect(plan.tables[0]?.columns[1]).toMatchObject({ type: "timestamp with time zone", conversion: { kind: "epoch", unit: "s" } });
  });

  test.each([
    ["a key column that is dropped", { id: drop }, "error plan.refused id"],
    ["a type that is none", { note: map({ type: "text; DROP" }) }, "error plan.refused note"],
    ["`from` for a type that is no moment", { placed: map({ type: "bigint", from: "epoch-s" as const }) }, "error plan.refused placed"],
    ["a key type that sorts otherwise", { id: map({ type: "text" }) }, "error plan.key-order id"],
    ["a key type without an order of its own", { id: map({ type: "jsonb" }) }, "error plan.key-order id"],
    ["a column that is not there", { nte: map() }, "error plan.refused nte"],
    ["a constant that does not fit its type", { n: { kind: "constant", value: "x", type: "integer" } as const }, "error plan.refused n"],
    ["a constant that replaces the key", { id: { kind: "constant", value: "1", type: null } as const }, "error plan.refused id"],
  ])("refuse %s", (_, columns, expected) => {
    const result = planOf({ tables, settings: { orders: { columns } } });
    expect(said(result)).toEqual([expected]);
    expect(result.plan.tables.map((table) => table.source)).toEqual(["other"]);
  });

  test("name the nearest column and table when one is not known", () => {
    const result = planOf({ tables, settings: { ordres: {}, orders: { columns: { Note1: map() } } } });
    expect(result.findings.map((finding) => finding.remedy)).toEqual(["Did you mean 'orders'?", "Did you mean 'note'?"]);
  });

  test("a run-start is fixed when the plan is first made", () => {
    const settings = { orders: { columns: { at: { kind: "constant", value: { runStart: true }, type: null } as const } } };
    const first = planOf({ tables, settings });
    const second = planOf({ tables, settings, applied: first.plan, now: new Date("2027-01-01T00:00:00Z") });
    expect(first.plan.tables[0]?.columns.at(-1)).toMatchObject({
      type: "timestamp with time zone",
      constant: "2026-11-20 10:11:12.125+00",
    });
    expect(second.plan).toEqual(first.plan);
  });

  test("a list of tables is all there is when only listed tables are captured", () => {
    const { plan } = planOf({ tables, settings: { other: {} }, onlyListedTables: true });
    expect(plan.tables.map((table) => table.source)).toEqual(["other"]);
  });
});

describe("tables", () => {
  const refused = [{ table: tableId("fts"), code: "table.virtual", reason: "it is a virtual table" } as const];

  test("one that cannot be captured is a warning, and an error for who asked for it", () => {
    const tables = [{ name: "t", columns: ["id INTEGER"] }];
    expect(said(planOf({ tables, refused }))).toEqual(["warning table.virtual"]);
    expect(said(planOf({ tables, refused, settings: { fts: {} } }))).toEqual(["error table.virtual"]);
    expect(said(planOf({ tables, refused, settings: { t: {} }, onlyListedTables: true }))).toEqual([]);
  });

  test("one with more than 1,600 columns is refused until some are dropped", () => {
    const columns = ["id INTEGER", ...Array.from({ length: 1_600 }, (_, i) => `c${i} TEXT`)];
    expect(said(planOf({ tables: [{ name: "t", columns }] }))).toEqual(["error table.too-wide"]);
    expect(said(planOf({ tables: [{ name: "t", columns }], settings: { t: { columns: { c1: drop } } } }))).toEqual([]);
  });

  test("a table with keys of several storage classes is left out, and refused to who asks for it", () => {
    const tables = [{ name: "t", columns: ["id"], rows: [[1n], ["1"]] }];
    const unasked = planOf({ tables });
    expect(said(unasked)).toContain("warning plan.key-order id");
    expect(unasked.plan.tables).toEqual([]);
    expect(said(planOf({ tables, settings: { t: {} } }))).toContain("error plan.key-order id");
  });

  test.each([
    [["INTEGER", "a"], "bigint", [[1n, "x"]]],
    [["TEXT", "a"], "text", [["k", "x"]]],
    [["TEXT", "a"], "bytea", [["k\0", "x"]]],
    [["TEXT", "a"], "bytea", [[new Uint8Array([1]), "x"]]],
    [["BOOLEAN", "a"], "bigint", [[1n, "x"]]],
    [["DATE", "a"], "text", [["2024-01-01", "x"]]],
  ] as const)("a key declared %s becomes %s", ([declared], type, rows) => {
    const { plan } = planOf({ tables: [{ name: "t", columns: [`id ${declared}`, "a"], rows }] });
    expect(plan.tables[0]?.columns[0]).toMatchObject({ type, nullable: false });
  });

  test("a key may become a uuid", () => {
    const tables = [{ name: "t", columns: ["id TEXT"], rows: [["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]] }];
    expect(said(planOf({ tables, settings: { t: { columns: { id: map({ type: "uuid" }) } } } }))).toEqual([]);
  });

  test("a NOT NULL column that holds NULL all the same is nullable at the target", () => {
    const { plan } = planOf({ tables: [{ name: "t", columns: ["id INTEGER", "a TEXT!", "b TEXT!"], rows: [[1n, null, "x"]] }] });
    expect(plan.tables[0]?.columns.map((column) => column.nullable)).toEqual([false, true, false]);
  });

  test("a type that the values of today break is an error before day one", () => {
    const tables = [
      {
        name: "t",
        columns: ["id INTEGER", "a TEXT"],
        rows: [
          [1n, "a\0"],
          [2n, new Uint8Array()],
        ],
      },
    ];
    const result = planOf({ tables, settings: { t: { columns: { a: map({ type: "text" }) } } } });
    expect(said(result)).toEqual(["error value.type a", "error value.nul a"]);
    expect(result.findings.map((finding) => finding.count)).toEqual([1, 1]);
  });
});

describe("planning again", () => {
  const empty: TableWords = {
    name: "t",
    columns: ["id INTEGER", "at DATETIME", "ok BOOLEAN!", "n INTEGER"],
    uniques: [{ name: "u", columns: ["n"] }],
  };
  const full: TableWords = {
    ...empty,
    rows: [
      [1n, "2026-11-20 10:11:12", 7n, 1.5],
      [2n, null, 1n, "x".repeat(3_000)],
    ],
  };

  test("what rows decided once stays, whatever the rows of now suggest", () => {
    const first = planOf({ tables: [empty] }).plan;
    expect(planOf({ tables: [full], applied: first }).plan).toEqual(first);
    expect(planOf({ tables: [full] }).plan).not.toEqual(first);
  });

  test("settings still change it", () => {
    const first = planOf({ tables: [empty] }).plan;
    const again = planOf({ tables: [full], applied: first, settings: { t: { columns: { at: map({ type: "timestamptz" }) } } } });
    expect(again.plan.tables[0]?.columns[1]).toMatchObject({ type: "timestamp with time zone", conversion: { kind: "iso" } });
  });
});
