import { markerId } from "../../../core/vocabulary/ids.js";
import { describeSource } from "../../contracts/source-contract.js";
import { DuckDbFile } from "../../support/duckdb.js";
import type { Follower } from "../../support/follower.js";
import { seeded } from "../../support/hostile-workload.js";

const tables = `
  CREATE TABLE account (id INTEGER PRIMARY KEY, owner VARCHAR NOT NULL, balance DECIMAL(18,2), opened TIMESTAMP, note VARCHAR);
  CREATE TABLE entry (account INTEGER, n INTEGER, amount BIGINT NOT NULL, text VARCHAR, PRIMARY KEY (account, n));
  CREATE TABLE clashing (k0 INTEGER, k1 INTEGER, h VARCHAR, op INTEGER, ord INTEGER, line VARCHAR, PRIMARY KEY (k1, k0));
  INSERT INTO clashing SELECT range % 7, range, 'h', range, range, 'line' FROM range(70);
  CREATE TABLE tag (name VARCHAR PRIMARY KEY, weight DOUBLE, used BOOLEAN);
  INSERT INTO account SELECT range, 'owner ' || range, range / 7, TIMESTAMP '2024-01-01' + to_seconds(range), NULL FROM range(200);
  INSERT INTO entry SELECT range % 50, range, range * 3, 'text ' || range FROM range(400);
  INSERT INTO tag SELECT 'tag' || range, range / 3, range % 2 = 0 FROM range(30)`;

/** Some of everything: inserts, updates, deletes, key changes, a checkpoint now and then. */
function transaction(step: number): string {
  const n = seeded(step + 1);
  const id = 1_000 + step;
  return `BEGIN; INSERT INTO account VALUES (${id}, 'new ${step}', ${n(1000)}.5, NULL, 'it''s "${step}"');
    UPDATE account SET balance = balance + 1, note = 'step ${step}' WHERE id % 7 = ${n(7)};
    DELETE FROM account WHERE id = ${n(200)};
    INSERT OR REPLACE INTO tag VALUES ('tag' || ${n(60)}, ${n(100)} / 8, ${n(2) === 0});
    UPDATE clashing SET h = 'step ${step}', op = op + 1 WHERE k0 = ${n(7)};
    UPDATE entry SET amount = amount + 1 WHERE account = ${n(50)};
    DELETE FROM entry WHERE n % 40 = ${n(40)};
    INSERT INTO entry VALUES (${n(50)}, ${id}, ${step}, NULL); COMMIT; ${step % 5 === 4 ? "CHECKPOINT" : ""}`;
}

describeSource("duckdb", async () => {
  const file = await DuckDbFile.of(tables);
  let markers = 0;
  return {
    open: () => file.open({ limits: { pageRows: 7 } }),
    write: async (step) => {
      await file.run(transaction(step));
    },
    catchUp: async (follower: Follower) => {
      const marker = markerId(`marker ${++markers}`);
      using requests = file.requests();
      await requests.marker(marker);
      const done = (): boolean =>
        follower.replica.markers.includes(marker) && follower.source.progress().every(({ state }) => state === "done");
      while (!done()) await follower.next();
    },
    countsAtOnce: false,
    rows: (table) => file.rows(table),
    [Symbol.asyncDispose]: () => file[Symbol.asyncDispose](),
  };
});
