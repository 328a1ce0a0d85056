/**
 * Random transactions of an application that does everything SQLite allows: REPLACE through second unique indexes, upserts, key changes and
 * swaps, cascades, its own triggers (some younger than ours), savepoints, rollbacks, values of every storage class.
 */
import type BetterSqlite from "better-sqlite3";

export const hostileTables = `
  CREATE TABLE u (id INTEGER PRIMARY KEY, email TEXT UNIQUE COLLATE NOCASE, a, b);
  CREATE UNIQUE INDEX u_ab ON u (a, b) WHERE b IS NOT NULL;
  CREATE TABLE e (id INTEGER PRIMARY KEY, name TEXT NOT NULL DEFAULT 'none', v, twice AS (v * 2) STORED UNIQUE);
  CREATE UNIQUE INDEX e_name ON e (lower(name), coalesce(v, 'a,b)') DESC);
  CREATE TABLE d (k TEXT PRIMARY KEY NOT NULL, u TEXT NOT NULL DEFAULT 'x' UNIQUE, v);
  CREATE TABLE w (x TEXT, y INTEGER, z UNIQUE, PRIMARY KEY (x, y)) WITHOUT ROWID;
  CREATE TABLE loose (k PRIMARY KEY NOT NULL, v);
  CREATE TABLE "odd ""name'" ("key" INTEGER PRIMARY KEY, "sel;ect" UNIQUE, "ünï" TEXT);
  CREATE TABLE p (id INTEGER PRIMARY KEY, n);
  CREATE TABLE c (id INTEGER PRIMARY KEY, pid REFERENCES p (id) ON DELETE CASCADE ON UPDATE CASCADE, v);
  CREATE TABLE g (id INTEGER PRIMARY KEY, cid REFERENCES c (id) ON DELETE SET NULL ON UPDATE CASCADE, v);
  CREATE TABLE self (id INTEGER PRIMARY KEY, parent REFERENCES self (id) ON DELETE CASCADE ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED);
  CREATE TABLE at (id INTEGER PRIMARY KEY, v, n DEFAULT 0);
  CREATE TRIGGER app_old AFTER INSERT ON at BEGIN UPDATE at SET n = n + 1 WHERE id = new.id; END;
  CREATE TRIGGER app_count AFTER UPDATE OF pid ON c BEGIN UPDATE p SET n = coalesce(n, 0) + 1 WHERE id = new.pid; END;
  INSERT INTO p VALUES (1, 1), (2, 2), (3, 3);
  INSERT INTO c VALUES (1, 1, 1), (2, 1, 2), (3, 2, 3);
  INSERT INTO self VALUES (1, 1), (2, 1), (3, 2);
`;

/** Made after ours, so they run before ours. */
export const youngTriggers = `
  CREATE TRIGGER app_young AFTER UPDATE ON at WHEN length(new.v) < 6 BEGIN UPDATE at SET v = v || '!' WHERE id = new.id; END;
  CREATE TRIGGER app_kill AFTER INSERT ON at WHEN new.v = 'kill' BEGIN DELETE FROM at WHERE id = new.id; END;
  CREATE TRIGGER app_move AFTER UPDATE ON at WHEN new.v = 'move!!' BEGIN UPDATE at SET id = id + 100, v = 'moved on' WHERE id = new.id; END;
  CREATE TRIGGER app_reborn AFTER DELETE ON at WHEN old.id % 5 = 0 BEGIN INSERT OR IGNORE INTO at (id, v) VALUES (old.id, 'reborn'); END;
  CREATE TRIGGER app_left AFTER UPDATE OF id ON at WHEN old.id % 5 = 1 BEGIN INSERT OR IGNORE INTO at (id, v) VALUES (old.id, 'left behind'); END;
  CREATE TRIGGER app_gone AFTER UPDATE OF id ON at WHEN new.id % 7 = 0 BEGIN DELETE FROM at WHERE id = new.id; END;
`;

export type Pick = (n: number) => number;

/** Whole numbers below n, the same for the same seed. */
export function seeded(seed: number): Pick {
  let s = seed >>> 0;
  return (n) => {
    s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
    return Math.floor((s / 4294967296) * n);
  };
}

type Statement = readonly [sql: string, values: readonly unknown[]];

function statement(r: Pick): Statement {
  const or = (): string => ["", " OR REPLACE", " OR IGNORE", " OR REPLACE"][r(4)] ?? "";
  const any = (): unknown =>
    [BigInt(r(9)), r(9) / 2, `t${r(9)}`, Buffer.from([r(4)]), null, 9007199254740993n, Infinity, "a\u0000b", "\ud83d\ude00"][r(9)];
  const key = (): unknown => [BigInt(r(5)), r(5), `t${r(5)}`, Buffer.from([r(3)])][r(4)];
  const n = (max: number): bigint => BigInt(r(max));
  const all: readonly (() => Statement)[] = [
    () => [
      `INSERT${or()} INTO u VALUES (?, ?, ?, ?)`,
      [r(5) > 0 ? n(60) : null, `${"AabC"[r(4)] ?? ""}${r(20)}`, n(6), r(3) > 0 ? n(6) : null],
    ],
    () => [`UPDATE${or()} u SET email = ?, a = ? WHERE id = ?`, [`a${r(20)}`, n(6), n(60)]],
    () => [`UPDATE${or()} u SET id = ? WHERE id = ?`, [n(60), n(60)]],
    () => ["INSERT INTO u VALUES (?, ?, ?, ?) ON CONFLICT (email) DO UPDATE SET a = excluded.a + 100", [n(60), `b${r(20)}`, n(6), null]],
    () => ["DELETE FROM u WHERE id = ?", [n(60)]],
    () => [`INSERT${or()} INTO e (id, name, v) VALUES (?, ?, ?)`, [n(40), r(4) > 0 ? `N${r(9)}` : null, n(9)]],
    () => [`UPDATE${or()} e SET v = ?, name = ? WHERE id = ?`, [n(9), r(4) > 0 ? `n${r(9)}` : null, n(40)]],
    () => [`INSERT${or()} INTO d (rowid, k, u, v) VALUES (?, ?, ?, ?)`, [n(12), `k${r(15)}`, r(3) > 0 ? `u${r(9)}` : null, any()]],
    () => [`UPDATE${or()} d SET rowid = ? WHERE k = ?`, [n(12), `k${r(15)}`]],
    () => [`UPDATE${or()} d SET u = ? WHERE k = ?`, [r(3) > 0 ? `u${r(9)}` : null, `k${r(15)}`]],
    () => [`INSERT${or()} INTO w VALUES (?, ?, ?)`, [`x${r(4)}`, n(8), n(25)]],
    () => [`UPDATE${or()} w SET y = ?, z = ? WHERE x = ? AND y = ?`, [n(8), n(25), `x${r(4)}`, n(8)]],
    () => ["DELETE FROM w WHERE z = ?", [n(25)]],
    () => [`INSERT${or()} INTO loose VALUES (?, ?)`, [key(), any()]],
    () => [`UPDATE${or()} loose SET k = ?, v = ? WHERE k = ?`, [key(), any(), key()]],
    () => ["DELETE FROM loose WHERE k = ?", [key()]],
    () => [`INSERT${or()} INTO "odd ""name'" VALUES (?, ?, ?)`, [n(20), any(), `${r(5)}`]],
    () => [`UPDATE${or()} "odd ""name'" SET "sel;ect" = ?, "ünï" = CAST(x'ff41' AS TEXT) WHERE "key" = ?`, [any(), n(20)]],
    () => ["INSERT OR IGNORE INTO p VALUES (?, ?)", [n(15), n(9)]],
    () => ["INSERT OR IGNORE INTO c VALUES (?, ?, ?)", [n(50), n(15), n(9)]],
    () => ["INSERT OR IGNORE INTO g VALUES (?, ?, ?)", [n(50), n(50), n(9)]],
    () => ["DELETE FROM p WHERE id = ?", [n(15)]],
    () => ["UPDATE OR IGNORE p SET id = ? WHERE id = ?", [n(15), n(15)]],
    () => ["UPDATE OR REPLACE p SET id = ? WHERE id = ?", [n(15), n(15)]],
    () => ["REPLACE INTO p VALUES (?, ?)", [n(15), n(9)]],
    () => ["UPDATE OR IGNORE c SET id = ? WHERE id = ?", [n(50), n(50)]],
    () => ["INSERT OR IGNORE INTO self VALUES (?, ?)", [n(12), n(12)]],
    () => ["UPDATE OR IGNORE self SET id = ? WHERE id = ?", [n(12), n(12)]],
    () => ["DELETE FROM self WHERE id = ?", [n(12)]],
    () => [`INSERT${or()} INTO at (id, v) VALUES (?, ?)`, [n(30), ["kill", "abc", "long value"][r(3)]]],
    () => ["UPDATE at SET v = ? WHERE id = ?", [["q", "zz", "move", "longer value"][r(4)], n(30)]],
    () => [`UPDATE${or()} at SET id = ? WHERE id = ?`, [n(30), n(30)]],
    () => ["DELETE FROM at WHERE id = ?", [n(30)]],
  ];
  const chosen = all[r(all.length)];
  if (chosen === undefined) throw new Error("no statement was chosen");
  return chosen();
}

/** One transaction; statements that break a constraint leave the transaction open, as applications do. */
export function hostileTransaction(database: BetterSqlite.Database, r: Pick): void {
  database.exec("BEGIN IMMEDIATE");
  for (let i = 0; i <= r(4); i++) {
    const inSavepoint = r(8) === 0;
    if (inSavepoint) database.exec("SAVEPOINT s");
    const [sql, values] = statement(r);
    attempt(() => database.prepare(sql).run(...values));
    if (inSavepoint) database.exec(r(2) === 0 ? "ROLLBACK TO s; RELEASE s" : "RELEASE s");
  }
  if (r(15) === 0 || !attempt(() => database.exec("COMMIT"))) if (database.inTransaction) database.exec("ROLLBACK");
}

function attempt(work: () => unknown): boolean {
  try {
    work();
    return true;
  } catch (thrown) {
    if (thrown instanceof Error && /constraint/i.test(thrown.message)) return false;
    throw thrown;
  }
}
