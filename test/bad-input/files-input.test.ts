/** What may lie at a path where a database is wanted: each is refused with a code that says what it is, or read. Nothing waits, nothing dies. */
/* oxlint-disable no-control-regex -- control characters are what is looked for */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  closeSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import BetterSqlite from "better-sqlite3";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openDatabase } from "../../connectors/sqlite/database.js";
import { openSqliteInspector } from "../../connectors/sqlite/inspect/inspector.js";
import { asTailraceError, describeError } from "../../core/errors.js";
import { theGroup } from "../../core/vocabulary/ids.js";
import { cpuMs } from "../support/cpu-time.js";

let directory: string;
const at = (name: string): string => join(directory, name);

function database(name: string, sql: string): string {
  const db = new BetterSqlite(at(name));
  db.exec(sql);
  db.close();
  return at(name);
}

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "tailrace-bad-files-"));
  const good = database("good.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 'x')");
  database("new\nline ' \".db", "CREATE TABLE t (id INTEGER PRIMARY KEY)");
  database("\u{1F600} \u202e.db", "CREATE TABLE t (id INTEGER PRIMARY KEY)");
  database("utf16.db", "PRAGMA encoding = 'UTF-16le'; CREATE TABLE t (id INTEGER PRIMARY KEY)");
  database(
    "cut.db",
    "CREATE TABLE t (id INTEGER PRIMARY KEY, v); WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 999) INSERT INTO t SELECT i, hex(randomblob(99)) FROM n",
  );
  truncateSync(at("cut.db"), 8192);
  database(
    "page.db",
    "CREATE TABLE t (id INTEGER PRIMARY KEY, v); WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 999) INSERT INTO t SELECT i, hex(randomblob(99)) FROM n",
  );
  const page = openSync(at("page.db"), "r+");
  writeSync(page, Buffer.alloc(4096, 0xaa), 0, 4096, 5 * 4096);
  closeSync(page);
  writeFileSync(at("empty.db"), "");
  writeFileSync(at("one-byte.db"), "S");
  writeFileSync(at("header-and-garbage.db"), Buffer.concat([Buffer.from("SQLite format 3\0"), Buffer.alloc(8192, 0xaa)]));
  writeFileSync(at("header-and-zeros.db"), Buffer.concat([Buffer.from("SQLite format 3\0"), Buffer.alloc(8192)]));
  writeFileSync(at("header-alone.db"), "SQLite format 3\0");
  writeFileSync(at("text.db"), "pipeline: shop\n".repeat(1000));
  writeFileSync(at("encrypted.db"), Buffer.alloc(16_384, 0x5c));
  mkdirSync(at("folder.db"));
  execFileSync("mkfifo", [at("fifo.db")]);
  symlinkSync(good, at("link.db"));
  linkSync(good, at("hard-link.db"));
  symlinkSync(at("loop.db"), at("loop.db"));
  symlinkSync(at("nowhere"), at("dangling.db"));
  symlinkSync("/dev/zero", at("zero.db"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const lines: readonly (readonly [what: string, name: string, outcome: string | number])[] = [
  ["nothing", "none.db", "source.missing"],
  ["nothing, in a folder that is not there", "no/such/folder.db", "source.missing"],
  ["a file as a folder", "good.db/x.db", "source.missing"],
  ["a folder", "folder.db", "source.not-a-database"],
  ["a pipe, which nobody writes to", "fifo.db", "source.not-a-database"],
  ["a device", "zero.db", "source.not-a-database"],
  ["a link to nowhere", "dangling.db", "source.missing"],
  ["a link to itself", "loop.db", "source.unavailable"],
  ["one byte, which SQLite itself takes for an empty database", "one-byte.db", 0],
  ["a text", "text.db", "source.not-a-database"],
  ["something encrypted", "encrypted.db", "source.not-a-database"],
  ["the header and garbage", "header-and-garbage.db", "source.not-a-database"],
  ["the header and zeros", "header-and-zeros.db", "source.not-a-database"],
  ["the header alone", "header-alone.db", "source.not-a-database"],
  ["UTF-16", "utf16.db", "source.encoding"],
  ["a name of 5,000 characters", "x".repeat(5_000), "source.unavailable"],
  ["a database of no bytes", "empty.db", 0],
  ["a link", "link.db", 1],
  ["a second name", "hard-link.db", 1],
  ["a newline and quotes in its name", "new\nline ' \".db", 1],
  ["an emoji and a bidi override in its name", "\u{1F600} \u202e.db", 1],
];

function rowsIn(name: string): number {
  using inspector = openSqliteInspector(at(name), { group: theGroup });
  let rows = 0;
  for (const table of inspector.catalog().tables) for (const page of inspector.rows(table)) rows += page.length;
  return rows;
}

describe("at the source's path lies", () => {
  it.each(lines)("%s", (_, name, outcome) => {
    const started = cpuMs();
    let found: string | number;
    try {
      openDatabase(at(name), { readonly: true }).close();
      using inspector = openSqliteInspector(at(name), { group: theGroup });
      found = inspector.catalog().tables.length;
    } catch (thrown) {
      const error = asTailraceError(thrown);
      expect(error.code, String((thrown as Error).stack)).not.toBe("internal");
      // One line, whatever the name is.
      expect(describeError(thrown)).not.toMatch(/[\n\u202e]/);
      expect(describeError(thrown)).toContain(error.remedy);
      found = error.code;
    }
    expect(found).toBe(outcome);
    expect(cpuMs() - started).toBeLessThan(5_000);
  });

  it("a database with a page of garbage: refused where it is read, not read by halves", () => {
    expect(() => rowsIn("page.db")).toThrow(expect.objectContaining({ code: "source.damaged" }) as Error);
  });

  it("a database that was cut off, too", () => {
    expect(() => rowsIn("cut.db")).toThrow(expect.objectContaining({ code: "source.damaged" }) as Error);
  });

  // Skipped for root, who may read everything.
  it.skipIf(process.getuid?.() === 0)("a file that may not be read", () => {
    chmodSync(at("good.db"), 0o000);
    expect(() => openDatabase(at("good.db"), { readonly: true })).toThrow(expect.objectContaining({ code: "source.unavailable" }) as Error);
  });
});
