/**
 * Names that break things, of tables and columns: each is refused by the plan with a proposal, or the table is made at the target under exactly
 * this name, with its rows, and nothing else happens.
 */
/* oxlint-disable no-control-regex -- control characters are what is looked for */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import BetterSqlite from "better-sqlite3";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { surveySource } from "../../cli/pipeline/survey.js";
import { loadSettings } from "../../cli/settings/load-settings.js";
import { openSqliteInspector } from "../../connectors/sqlite/inspect/inspector.js";
import { quoteName } from "../../connectors/sqlite/quote.js";
import { theGroup } from "../../core/vocabulary/ids.js";
import { tailrace } from "../cli/command.js";
import { Operator } from "../e2e/operator.js";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "tailrace-bad-names-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const long = "n".repeat(63);
/** Fine as names of tables and of columns. */
const good: readonly string[] = [
  ...[`"`, `""`, `'`, "`", "[", "]", "[x]", "\\", "\\'", "%", "%s", "$1", "?", "?1", ":a", "@a", "#", "--", "/*", "*/", ";", "."],
  ...[" ", "  ", "a b", " leading", "trailing ", "\t", "\n", "a\nb", "\r\n", "\u0001", "\u001b[31mred", "\u0085", "\u2028"],
  ...[`"; DROP TABLE t; --`, `'; DROP TABLE t; --`, `x" (id int); DROP SCHEMA public CASCADE; --`, "$$; SELECT 1; $$", "\\x00", "\\u0000"],
  ...["${PATH}", "$(id)", "`id`", "../../etc/passwd", "<script>alert(1)</script>", "&amp;", "{}", "[]", "null", "NULL", "undefined", "NaN"],
  ...["__proto__", "constructor", "prototype", "toString", "hasOwnProperty", "__defineGetter__", "valueOf", "then"],
  ...[
    "select",
    "SELECT",
    "table",
    "user",
    "order",
    "group",
    "primary",
    "default",
    "current_user",
    "all",
    "array",
    "any",
    "true",
    "1",
    "0x1",
    "1e3",
    "-1",
  ],
  ...[
    "pg_x",
    "pg_class",
    "information_schema",
    "rowid",
    "oid",
    "_rowid_",
    "seq",
    "op",
    "ts",
    "t",
    "v0",
    "k0",
    "new",
    "old",
    "excluded",
    "public",
  ],
  ...[
    "é",
    "e\u0301",
    "ß",
    "İ",
    "ı",
    "ſ",
    "Ünï.cödé",
    "日本語",
    "\u{1F600}",
    "\u{1F468}\u200d\u{1F469}",
    "\u202egnirts",
    "\u200b",
    "\ufeff",
    "\ufffd",
    "\uffff",
    "\u{10ffff}",
  ],
  ...[long, `${"é".repeat(31)}x`, "\u{1F600}".repeat(15)],
];
interface Refusal {
  readonly what: string;
  readonly ddl: string;
  readonly code: string;
}
const twins = (a: string, b: string): string =>
  `CREATE TABLE ${quoteName(a)} (id INTEGER PRIMARY KEY); CREATE TABLE ${quoteName(b)} (id INTEGER PRIMARY KEY)`;
const bad: readonly Refusal[] = [
  { what: "a table without a name", ddl: `CREATE TABLE "" (id INTEGER PRIMARY KEY)`, code: "table.name" },
  { what: "a column without a name", ddl: `CREATE TABLE t (id INTEGER PRIMARY KEY, "" TEXT)`, code: "plan.refused" },
  { what: "a table of 64 bytes", ddl: `CREATE TABLE ${quoteName(`${long}x`)} (id INTEGER PRIMARY KEY)`, code: "table.name" },
  { what: "a column of 64 bytes", ddl: `CREATE TABLE t (id INTEGER PRIMARY KEY, ${quoteName(`${long}x`)} TEXT)`, code: "plan.refused" },
  {
    what: "a table of 64 bytes in 16 characters",
    ddl: `CREATE TABLE "${"\u{1F600}".repeat(16)}" (id INTEGER PRIMARY KEY)`,
    code: "table.name",
  },
  { what: "two tables that share their first 63 bytes", ddl: twins(`${long}x`, `${long}y`), code: "table.name" },
  {
    what: "two columns that do",
    ddl: `CREATE TABLE t (id INTEGER PRIMARY KEY, ${quoteName(`${long}x`)}, ${quoteName(`${long}y`)})`,
    code: "plan.refused",
  },
  ...["ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"].map((name) => ({
    what: `the system column ${name}`,
    ddl: `CREATE TABLE t (id INTEGER PRIMARY KEY, ${name} TEXT)`,
    code: "plan.refused",
  })),
  { what: "a name that is ours", ddl: `CREATE TABLE _cdc_mine (id INTEGER PRIMARY KEY)`, code: "table.reserved" },
  { what: "a name that is ours, in capitals", ddl: `CREATE TABLE _CDC_mine (id INTEGER PRIMARY KEY)`, code: "table.reserved" },
  {
    what: "1,601 columns",
    ddl: `CREATE TABLE t (id INTEGER PRIMARY KEY, ${Array.from({ length: 1_600 }, (_, i) => `c${i}`).join(", ")})`,
    code: "table.too-wide",
  },
  {
    what: "2,000 columns",
    ddl: `CREATE TABLE t (id INTEGER PRIMARY KEY, ${Array.from({ length: 1_999 }, (_, i) => `c${i}`).join(", ")})`,
    code: "table.too-wide",
  },
];

async function findings(
  ddl: string,
): Promise<readonly { readonly severity: string; readonly code: string; readonly what: string; readonly remedy: string }[]> {
  const path = join(directory, `${Math.random()}.db`);
  const db = new BetterSqlite(path);
  db.exec(ddl);
  db.close();
  const file = join(directory, "tailrace.yaml");
  writeFileSync(file, stringify({ pipeline: "names", source: { kind: "sqlite", path } }));
  const { settings } = loadSettings(file, {});
  using inspector = openSqliteInspector(path, { group: theGroup });
  const survey = await surveySource(inspector, settings, { applied: null, census: true, now: new Date(0), onTable: () => {} });
  const leftOut = survey.leftOut.map(({ code, reason }) => ({ severity: "warning", code, what: reason, remedy: "left out" }));
  return [...survey.findings, ...leftOut];
}

describe("a plan refuses, with a proposal,", () => {
  it.each(bad)("$what", async ({ ddl, code }) => {
    const found = (await findings(ddl)).filter(({ severity }) => severity !== "note");
    expect(found.map((one) => one.code)).toContain(code);
    for (const { what, remedy } of found) {
      expect(remedy.length).toBeGreaterThan(3);
      // One line of a terminal, whatever the name is.
      expect(`${what}${remedy}`).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/);
    }
  });
});

describe("a plan takes", () => {
  it.each(good.map((name) => [JSON.stringify(name), name]))("%s as table and as column", async (_, name) => {
    const ddl = `CREATE TABLE ${quoteName(name)} ("the key" INTEGER PRIMARY KEY, ${quoteName(name)} TEXT)`;
    expect((await findings(ddl)).filter(({ severity }) => severity === "error")).toEqual([]);
  });
});

it("all of them arrive under their names, and nothing else is made", { timeout: 240_000 }, async () => {
  await using operator = await Operator.make({ ddl: "PRAGMA journal_mode = WAL" });
  // Names that SQLite takes for one are two to PostgreSQL, and topics and tables of one name are one.
  const names = [...new Map(good.map((name) => [name.toLowerCase(), name])).values()].filter((name) => !/^sqlite_/i.test(name));
  const db = new BetterSqlite(operator.file);
  for (const name of names) {
    db.exec(`CREATE TABLE ${quoteName(name)} ("the key" INTEGER PRIMARY KEY, ${quoteName(name)} TEXT)`);
    db.prepare(`INSERT INTO ${quoteName(name)} VALUES (1, ?)`).run(name);
  }
  db.close();
  await operator.answer("apply");
  for (const words of [["plan"], ["doctor", "--no-census"], ["status"]]) {
    const { stdout, stderr } = await operator.tailrace(...words);
    expect(`${stdout}${stderr}`).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/);
  }
  const running = operator.run();
  await operator.caughtUp();
  expect(await operator.different()).toEqual([]);
  const changed = new BetterSqlite(operator.file, { timeout: 10_000 });
  changed.transaction(() => {
    for (const name of names) {
      changed.prepare(`UPDATE ${quoteName(name)} SET ${quoteName(name)} = ?`).run(`${name}'s`);
      changed.prepare(`INSERT INTO ${quoteName(name)} VALUES (2, ?)`).run("another");
    }
  })();
  changed.close();
  await operator.caughtUp();
  expect(await operator.different()).toEqual([]);
  const made =
    "SELECT relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = 'public' AND c.relkind = 'r'";
  const found = await operator.database.query<{ relname: string }>(made);
  expect(found.map(({ relname }) => relname).sort()).toEqual([...names].sort());
  await running.stop();
});

it("case twins of columns are two columns to nobody", async () => {
  // SQLite refuses them itself; of tables as well.
  const db = new BetterSqlite(":memory:");
  expect(() => db.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, a, A)")).toThrow(/duplicate column/);
  db.close();
  expect((await tailrace(["explain", "__proto__"])).code).toBe(2);
});
