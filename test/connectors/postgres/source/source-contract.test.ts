import { afterAll, beforeAll } from "vitest";
import { describeSource } from "../../../contracts/source-contract.js";
import { seeded } from "../../../support/hostile-workload.js";
import { PostgresServer } from "../../../support/postgres-server.js";
import { WayBackWorld, wayTable } from "../../../support/way-back.js";

let server: PostgresServer;
beforeAll(async () => {
  server = await PostgresServer.start();
});
afterAll(() => server[Symbol.asyncDispose]());

const tables = [
  wayTable("account", { id: "bigint", owner: "text", balance: "numeric(18,2)", opened: "timestamp with time zone" }),
  wayTable("entry", { account: "integer", n: "integer", amount: "double precision", memo: "bytea" }, 2),
  wayTable("tag", { name: "character varying(40)", used: "boolean" }),
];

/** Some of everything: inserts, updates, deletes, key changes, a rollback, a truncated table now and then. */
function transactions(step: number): readonly string[] {
  const n = seeded(step + 1);
  const id = 1_000 + step * 10;
  return [
    "BEGIN",
    `INSERT INTO account SELECT ${id} + i, 'owner ' || i, i / 7.0, to_timestamp(i * 1.000001) FROM generate_series(0, 9) AS i`,
    `UPDATE account SET balance = balance + 1, owner = owner || '''"\\' WHERE id % 7 = ${n(7)}`,
    "SAVEPOINT before",
    "DELETE FROM account",
    "ROLLBACK TO before",
    "COMMIT",
    `DELETE FROM account WHERE id % 11 = ${n(11)}`,
    `INSERT INTO entry VALUES (${step}, ${n(50)}, ${n(1000)} / 3.0, decode(repeat('0${n(9)}', 50), 'hex')) ON CONFLICT DO NOTHING`,
    `UPDATE entry SET account = account + 1000 WHERE account = ${n(step + 1)}`,
    `INSERT INTO tag VALUES ('tag ' || ${n(30)}, ${n(2) === 0}) ON CONFLICT (name) DO UPDATE SET used = NOT excluded.used`,
    `UPDATE tag SET name = name || '''' WHERE length(name) < 12 AND used`,
    ...(step % 6 === 5 ? ["BEGIN", "TRUNCATE entry, tag", "INSERT INTO tag VALUES ('after', NULL)", "COMMIT"] : []),
  ];
}

for (const [name, limits] of [
  ["postgresql", {}],
  ["postgresql by tiny transactions and parts", { whole: { rows: 3, bytes: 500 }, heldBytes: 1_000, rows: 2 }],
] as const) {
  describeSource(name, async () => {
    const world = await WayBackWorld.of(server, tables);
    return {
      open: () => world.open({ limits }),
      write: (step) => world.run(...transactions(step)),
      catchUp: (follower) => world.catchUp(follower),
      hear: (follower) => world.catchUp(follower),
      countsAtOnce: false,
      beginsEqual: true,
      rows: (table) => world.rows(table),
      [Symbol.asyncDispose]: () => world[Symbol.asyncDispose](),
    };
  });
}
