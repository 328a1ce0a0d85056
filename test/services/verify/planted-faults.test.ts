/**
 * O10, first half: every difference that somebody makes at the target is found, with its key, kind and columns, and nothing else is.
 *
 * TAILRACE_SEED repeats a run; `TAILRACE_VERIFY_FAULTS=600 npx vitest run test/services/verify/planted-faults.test.ts` makes it long.
 */
import { randomInt } from "node:crypto";
import { expect, test } from "vitest";
import type { TableSettings } from "../../../core/settings.js";
import { keyText } from "../../../core/vocabulary/value.js";
import { repair } from "../../../services/verify/repair.js";
import { type Pick, seeded } from "../../support/hostile-workload.js";
import { never, VerifyContext } from "./context.js";

const seed = Number(process.env["TAILRACE_SEED"] ?? randomInt(1, 1_000_000_000));
const wanted = Number(process.env["TAILRACE_VERIFY_FAULTS"] ?? 60);
const perRound = 20;
const rows = 2_000;

const ddl = `
  CREATE TABLE wide (id INTEGER PRIMARY KEY, t TEXT, n NUMERIC, d REAL, r REAL, b BLOB, at INTEGER, day DATE, j JSON, f BOOLEAN, u UUID, gap TEXT);
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows})
  INSERT INTO wide SELECT i, 'text ' || i || ' naïve ☃', i * 1.001, i / 7.0, i / 8.0, CAST('b' || i AS BLOB), 1700000000000000 + i * 1000001, date('2020-01-01', i || ' days'),
    '{"n": 1.50, "k": ' || i || '}', i % 2, printf('%08x-0000-4000-8000-%012x', i, i * 7), CASE i % 2 WHEN 0 THEN 'x' || i END FROM n;
  CREATE TABLE pair (a TEXT NOT NULL, b INTEGER NOT NULL, v TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID;
  INSERT INTO pair SELECT substr('aAzZäß', 1 + id % 6, 1), id, t FROM wide;`;
const typed = (columns: Readonly<Record<string, { type: string; from?: "epoch-us" }>>): TableSettings => ({
  to: null,
  key: null,
  columns: new Map(Object.entries(columns).map(([name, { type, from }]) => [name, { kind: "map", to: null, type, from: from ?? null }])),
});
const settings = new Map([
  [
    "wide",
    typed({
      at: { type: "timestamptz", from: "epoch-us" },
      j: { type: "jsonb" },
      u: { type: "uuid" },
      n: { type: "numeric" },
      r: { type: "real" },
      day: { type: "date" },
    }),
  ],
]);

interface Fault {
  readonly sql: string;
  /** `table key: kind columns` */
  readonly found: readonly string[];
}
type Plant = (id: number, r: Pick) => Fault;

const changed =
  (column: string, to: string): Plant =>
  (id) => ({ sql: `UPDATE wide SET ${column} = ${to} WHERE id = ${id}`, found: [`wide i${id}: changed ${column}`] });
const pairKey = (id: number): readonly [string, number] => ["aAzZäß"[id % 6] ?? "", id];
const pairName = (id: number): string => {
  const [a, b] = pairKey(id);
  return `pair ${keyText([a, BigInt(b)])}`;
};
const wherePair = (id: number): string => `a = '${pairKey(id)[0]}' AND b = ${id}`;

const plants: readonly Plant[] = [
  changed("t", "left(t, length(t) - 1)"),
  changed("t", "t || ' '"),
  changed("t", "replace(t, 'ï', 'i')"),
  changed("t", "NULL"),
  changed("n", "n + 0.0001"),
  changed("n", "-n"),
  changed("d", "d + d * 2.220446049250313e-16"),
  changed("r", "r + r * 0.0000002"),
  changed("b", "b || '\\x00'"),
  changed("b", "'\\x'"),
  changed("at", "at + interval '1 microsecond'"),
  changed("at", "at - interval '1 hour'"),
  changed("day", "day + 1"),
  changed("j", `jsonb_set(j, '{n}', '1.5')`),
  changed("j", `j || '{"x": null}'`),
  changed("f", "NOT f"),
  changed("u", "(left(u::text, 35) || CASE right(u::text, 1) WHEN '0' THEN '1' ELSE '0' END)::uuid"),
  (id) => ({ sql: `UPDATE wide SET gap = CASE WHEN gap IS NULL THEN '' END WHERE id = ${id}`, found: [`wide i${id}: changed gap`] }),
  (id) => ({ sql: `UPDATE wide SET t = gap, gap = t WHERE id = ${id}`, found: [`wide i${id}: changed t,gap`] }),
  (id) => ({ sql: `DELETE FROM wide WHERE id = ${id}`, found: [`wide i${id}: missing`] }),
  (id) => ({
    sql: `INSERT INTO wide (id, t) SELECT id + 1000000, t FROM wide WHERE id = ${id}`,
    found: [`wide i${id + 1_000_000}: extra`],
  }),
  (id) => ({
    sql: `UPDATE wide SET id = -id WHERE id = ${id}`,
    found: [`wide i${id}: missing`, `wide i${-id}: extra`],
  }),
  (id) => ({ sql: `UPDATE pair SET v = upper(v) WHERE ${wherePair(id)}`, found: [`${pairName(id)}: changed v`] }),
  (id) => ({ sql: `DELETE FROM pair WHERE ${wherePair(id)}`, found: [`${pairName(id)}: missing`] }),
  (id) => ({
    sql: `INSERT INTO pair VALUES ('${pairKey(id)[0]}', -${id}, 'x')`,
    found: [`pair ${keyText([pairKey(id)[0], BigInt(-id)])}: extra`],
  }),
  // Two rows that exchange a value: no sum of columns would show it.
  (id) => ({
    sql: `UPDATE pair SET v = CASE WHEN ${wherePair(id)} THEN (SELECT v FROM pair WHERE ${wherePair(partner(id))}) ELSE (SELECT v FROM pair WHERE ${wherePair(id)}) END
          WHERE (${wherePair(id)}) OR (${wherePair(partner(id))})`,
    found: [`${pairName(id)}: changed v`, `${pairName(partner(id))}: changed v`],
  }),
];
/** Ids are drawn from the lower half, partners lie in the upper. */
const partner = (id: number): number => id + rows / 2;

test(`${wanted} random differences are all found, with key and columns, and mended (seed ${seed})`, {
  timeout: 60_000 + wanted * 1_000,
}, async () => {
  const r = seeded(seed);
  await using it = await VerifyContext.of(ddl, settings);
  await it.two.sync();
  let planted = 0;
  it.two.run();
  while (planted < wanted) {
    const ids = new Set<number>();
    while (ids.size < perRound) ids.add(1 + r(rows / 2 - 1));
    const found: string[] = [];
    for (const id of ids) {
      const fault = plants[r(plants.length)]?.(id, r);
      if (fault === undefined) continue;
      await it.two.database.query(fault.sql);
      found.push(...fault.found);
    }
    planted += perRound;
    await it.verify({ rowsPerScope: 50 + r(400) });
    expect(await it.said()).toEqual(found.toSorted());
    const mended = await repair({ sides: it.sides, store: it.store, repairs: it.requests, table: null }, never);
    expect(mended.tables.reduce((sum, { equal }) => sum + equal, 0)).toBe(found.length);
    expect(await it.said()).toEqual([]);
  }
  const last = await it.verify();
  expect(last.tables.every(({ chunks, equalChunks }) => chunks === equalChunks)).toBe(true);
});
