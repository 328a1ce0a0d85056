/** Values that the target cannot hold, arriving among good ones: the pipeline stops at them by name, and goes on once they are mended or mapped. */
import { describe, expect, it } from "vitest";
import { Operator } from "./operator.js";

const ddl = `PRAGMA journal_mode = WAL;
  CREATE TABLE readings (id INTEGER PRIMARY KEY, n INTEGER, s TEXT, price DECIMAL(6, 2), at DATETIME);
  WITH RECURSIVE i (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < 1200)
    INSERT INTO readings SELECT n, n, 's' || n, n / 4.0, '2026-01-02 03:04:05' FROM i;
  CREATE TABLE parent (id INTEGER PRIMARY KEY);
  CREATE TABLE child (id INTEGER PRIMARY KEY, parent INTEGER NOT NULL REFERENCES parent (id));`;

/** Where each stop of a service happened, as its log says. */
function refusals(stderr: string): readonly unknown[] {
  return stderr.split("\n").flatMap((line) => (line.includes('"service.stopped"') ? [(JSON.parse(line) as { where: unknown }).where] : []));
}

describe("a value that does not fit", () => {
  it("stops the pipeline by table, key, column, code and remedy; mended at the source it goes on, nothing lost", {
    timeout: 480_000,
  }, async () => {
    await using operator = await Operator.make({ ddl });
    await operator.answer("apply");
    // There before the first copy, behind the back of the plan.
    operator.sql("UPDATE readings SET s = 'a' || char(0) WHERE id = 700");
    let running = operator.run();
    expect(await operator.stopped("sink")).toMatchObject({ code: "value.nul", why: expect.stringContaining("remove the NUL") as unknown });
    expect((await operator.tailrace("wait", "caught-up", "--timeout", "200ms")).code).toBe(5);
    const { code, stderr } = await running.stop();
    expect([code, refusals(stderr).at(-1)]).toMatchObject([6, { table: "readings", column: "s", key: "700" }]);
    operator.sql("UPDATE readings SET s = 'good' WHERE id = 700");
    running = operator.run();
    await operator.caughtUp();
    expect(await operator.different({})).toEqual([]);

    const bad = [
      ["value.type", "INSERT INTO readings (id, n) VALUES (2001, 'many')", "UPDATE readings SET n = 5 WHERE id = 2001"],
      ["value.range", "UPDATE readings SET price = 123456.5 WHERE id = 6", "DELETE FROM readings WHERE id = 6"],
      ["value.time", "UPDATE readings SET at = 'yesterday' WHERE id = 7", "UPDATE readings SET at = NULL WHERE id = 7"],
      ["target.constraint", "PRAGMA foreign_keys = OFF; INSERT INTO child VALUES (1, 99)", "INSERT INTO parent VALUES (99)"],
    ] as const;
    for (const [expected, breaks, mends] of bad) {
      operator.sql(`${breaks}; INSERT INTO readings (s) VALUES ('behind the bad one')`);
      const { why } = await operator.says("sink", ({ code: said }) => said === expected);
      expect(why).toMatch(/mend/i);
      operator.sql(mends);
      running = await operator.mended(running);
      expect(await operator.different({})).toEqual([]);
    }
    expect((await running.stop()).code).toBe(0);
  });

  it("goes on with another type in the settings and apply", { timeout: 480_000 }, async () => {
    await using operator = await Operator.make({ ddl });
    await operator.answer("apply");
    const running = operator.run();
    await operator.caughtUp();
    operator.sql("UPDATE readings SET n = 'unknown' WHERE id < 4; UPDATE readings SET s = char(0, 65) WHERE id = 5");
    expect(await operator.stopped("sink")).toMatchObject({ code: "value.type" });
    expect(await operator.refusal("status", "--fail-if", "stopped")).toMatchObject({ exit: 5 });
    operator.settings({ tables: { readings: { columns: { n: { type: "text" }, s: { type: "bytea" } } }, parent: {}, child: {} } });
    await operator.answer("apply");
    await running.stop();
    const again = operator.run();
    await operator.caughtUp();
    expect(await operator.database.query("SELECT n FROM readings WHERE id IN (3, 4) ORDER BY id")).toEqual([{ n: "unknown" }, { n: "4" }]);
    const lengths = "SELECT count(*)::int AS rows, sum(length(s))::int AS bytes FROM readings";
    expect(await operator.database.query(lengths)).toEqual(
      operator.rows("SELECT count(*) AS rows, sum(length(CAST(s AS BLOB))) AS bytes FROM readings"),
    );
    await again.stop();
  });
});
