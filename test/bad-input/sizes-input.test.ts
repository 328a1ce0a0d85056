/** Values, keys and rows that are too large for some part of the path: the service stops at them with table and code, and goes on once they are mended. */
import { describe, expect, it } from "vitest";
import { Operator } from "../e2e/operator.js";

const ddl = `PRAGMA journal_mode = WAL;
  CREATE TABLE small (id INTEGER PRIMARY KEY, v);
  CREATE TABLE files (id INTEGER PRIMARY KEY, name TEXT UNIQUE, content BLOB);
  CREATE TABLE wide (id INTEGER PRIMARY KEY, ${Array.from({ length: 1_200 }, (_, i) => `c${i} INTEGER`).join(", ")});
  CREATE TABLE keyed (id TEXT PRIMARY KEY NOT NULL, v) WITHOUT ROWID;
  INSERT INTO small VALUES (1, 'a'); INSERT INTO files VALUES (1, 'one', x'00'); INSERT INTO wide (id) VALUES (1); INSERT INTO keyed VALUES ('a', 1);`;

const allColumns = Array.from({ length: 1_200 }, (_, i) => `c${i} = 9223372036854775807`).join(", ");
const lines: readonly {
  readonly what: string;
  readonly breaks: string;
  readonly mends: string;
  readonly service: "source" | "sink";
  readonly code: string;
  readonly says: RegExp;
}[] = [
  {
    what: "a value of 20 MB, more than a record of the log may have",
    breaks: "INSERT INTO files VALUES (2, 'large', randomblob(20000000))",
    mends: "DELETE FROM files WHERE id = 2",
    service: "source",
    code: "log.record-too-large",
    says: /smaller/,
  },
  {
    what: "a key of the target's index that is too long",
    breaks: "INSERT INTO files VALUES (3, hex(randomblob(10000)), NULL)",
    mends: "DELETE FROM files WHERE id = 3",
    service: "sink",
    code: "target.too-large",
    says: /index/,
  },
  {
    what: "a primary key that is",
    breaks: "INSERT INTO keyed VALUES (hex(randomblob(10000)), 1)",
    mends: "DELETE FROM keyed WHERE length(id) > 100",
    service: "sink",
    code: "target.too-large",
    says: /index/,
  },
  {
    what: "a row of 1,200 numbers, more than a page of the target holds",
    breaks: `UPDATE wide SET ${allColumns} WHERE id = 1`,
    mends: "UPDATE wide SET c0 = 1 WHERE id = 1; DELETE FROM wide; INSERT INTO wide (id) VALUES (1)",
    service: "sink",
    code: "target.too-large",
    says: /row/,
  },
];

describe("what is too large", () => {
  it("stops the service by name, and is mended at the source", { timeout: 300_000 }, async () => {
    await using operator = await Operator.make({ ddl });
    await operator.answer("apply");
    let running = operator.run();
    await operator.caughtUp();
    for (const { what, breaks, mends, service, code, says } of lines) {
      operator.sql(`${breaks}; INSERT INTO small (v) VALUES ('behind it')`);
      const { why } = await operator.says(service, (status) => status.code === code);
      expect(why, what).toMatch(says);
      operator.sql(mends);
      if (service === "sink") running = await operator.mended(running);
      else {
        await operator.stopped(service);
        await running.stop();
        await operator.answer("snapshot", "--all", "--anew");
        operator.sql("INSERT INTO small (v) VALUES ('after it')");
        running = operator.run();
        await operator.caughtUp();
      }
      // The oracle asks for three columns each, and SQLite has no more than 2,000.
      expect(await operator.different({ without: ["wide"] }), what).toEqual([]);
      expect(await operator.database.query("SELECT id::int, c0::int, c1199::int FROM wide"), what).toEqual(
        operator.rows("SELECT id, c0, c1199 FROM wide"),
      );
    }
    await running.stop();
  });
});
