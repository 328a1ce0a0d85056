/**
 * What the hostile application does inside its transactions: every way in which SQLite changes rows without saying so plainly.
 * Each operation takes the context {run, all, random, version} and may throw a constraint error of its own making.
 */
const big = (n) => BigInt(n);
const words = [
  "",
  " ",
  "a",
  "Ä",
  "ß",
  "日本",
  "😀 family 👨‍👩‍👧",
  "tab\there",
  "line\nbreak",
  "quote ' \" \\",
  "\u0001",
  "\ufeffbom",
  "ﬁ",
  "i̇",
  "x".repeat(3000),
];
const wholes = [0n, 1n, -1n, 9007199254740993n, -9007199254740993n, 9223372036854775807n, -9223372036854775808n, 4294967296n];
const reals = [0, 0.1, -0.5, 1 / 3, 5e-324, 1.7976931348623157e308, Infinity, -Infinity, 1e21, 123456789.125, 2 ** 53 + 2, null];
const emails = Array.from({ length: 40 }, (_, i) => `person${i}@example.org`);
const shops = ["Köln", "köln", "KÖLN", "", "z", "\u{10FFFF}"];

const bytes = (random, most) => Buffer.from(Array.from({ length: random.below(most) }, () => random.below(256)));
const email = (random) => (random.chance(0.15) ? null : random.pick(emails));
const handle = (random) => (random.chance(0.2) ? null : `h${random.below(40)}`);
const personId = (random) => big(random.between(1, 60));

function somebody({ all, random }, table) {
  const ids = all(`SELECT id FROM ${table} ORDER BY id`);
  return ids.length === 0 ? null : random.pick(ids)[0];
}

function person({ random, version }) {
  return [personId(random), email(random), handle(random), random.pick(reals), big(random.below(2)), big(random.below(3)), version];
}

export const operations = {
  // --- money: the sum over account and vault never changes at a commit
  transfer({ run, all, random, version }) {
    const [from, to] = [
      random.pick(all("SELECT id FROM account ORDER BY id"))[0],
      random.pick(all("SELECT name FROM vault ORDER BY name"))[0],
    ];
    const amount = big(random.between(-50, 50));
    run("UPDATE account SET balance = balance - ?, version = ? WHERE id = ?", amount, version, from);
    run("UPDATE vault SET balance = balance + ?, version = ? WHERE name = ?", amount, version, to);
  },
  transferByReplace({ run, all, random, version }) {
    const rows = all("SELECT id, balance FROM account ORDER BY id");
    const [from, to] = [random.pick(rows), random.pick(rows)];
    if (from[0] === to[0]) return;
    run("INSERT OR REPLACE INTO account VALUES (?, ?, ?)", from[0], from[1] - 7n, version);
    run(
      "INSERT INTO account VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET balance = balance + 7, version = excluded.version",
      to[0],
      0n,
      version,
    );
  },
  moveAccount({ run, all, random, version }) {
    const [from] = random.pick(all("SELECT id FROM account ORDER BY id"));
    run("UPDATE account SET id = (SELECT max(id) + 1 FROM account), version = ? WHERE id = ?", version, from);
  },
  swapAccounts({ run, all, random, version }) {
    const ids = all("SELECT id FROM account ORDER BY id");
    const [a, b] = [random.pick(ids)[0], random.pick(ids)[0]];
    if (a === b) return;
    run("UPDATE account SET id = -1, version = ? WHERE id = ?", version, a);
    run("UPDATE account SET id = ?, version = ? WHERE id = ?", a, version, b);
    run("UPDATE account SET id = ?, version = ? WHERE id = -1", b, version);
  },
  splitVault({ run, all, random, version }) {
    const [name, balance] = random.pick(all("SELECT name, balance FROM vault ORDER BY name"));
    run("DELETE FROM vault WHERE name = ?", name);
    run("INSERT INTO vault VALUES (?, ?, ?)", name, balance / 2n, version);
    run("UPDATE account SET balance = balance + ?, version = ? WHERE id = (SELECT min(id) FROM account)", balance - balance / 2n, version);
  },

  // --- rows that push out other rows
  replacePerson: (c) => c.run("INSERT OR REPLACE INTO person VALUES (?, ?, ?, ?, ?, ?, ?)", ...person(c)),
  insertOrIgnore: (c) => c.run("INSERT OR IGNORE INTO person VALUES (?, ?, ?, ?, ?, ?, ?)", ...person(c)),
  upsertOnKey: (c) =>
    c.run(
      "INSERT INTO person VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET email = excluded.email, version = excluded.version",
      ...person(c),
    ),
  upsertOnEmail: (c) =>
    c.run(
      "INSERT INTO person VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (email) DO UPDATE SET handle = excluded.handle, version = excluded.version",
      ...person(c),
    ),
  upsertOrNothing: (c) => c.run("INSERT INTO person VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", ...person(c)),
  updateOrReplaceUnique: (c) =>
    c.run(
      "UPDATE OR REPLACE person SET email = ?, handle = ?, version = ? WHERE id = ?",
      email(c.random),
      handle(c.random),
      c.version,
      personId(c.random),
    ),
  updateOrReplaceKey: (c) =>
    c.run("UPDATE OR REPLACE person SET id = ?, version = ? WHERE id = ?", personId(c.random), c.version, personId(c.random)),
  updateManyOrReplace: (c) =>
    c.run("UPDATE OR REPLACE person SET handle = ?, version = ? WHERE id % 17 = ?", handle(c.random), c.version, big(c.random.below(17))),
  rekeyPerson: (c) => c.run("UPDATE person SET id = ?, version = ? WHERE id = ?", personId(c.random), c.version, personId(c.random)),
  score: (c) => c.run("UPDATE person SET score = ?, version = ? WHERE id = ?", c.random.pick(reals), c.version, personId(c.random)),
  activate: (c) => c.run("UPDATE person SET active = 1 - active, version = ? WHERE id % 2 = ?", c.version, big(c.random.below(2))),
  deletePerson: (c) => c.run("DELETE FROM person WHERE id = ?", personId(c.random)),
  swapHandles(c) {
    const [a, b] = [somebody(c, "person"), somebody(c, "person")];
    if (a === null || a === b) return;
    const [[ofA], [ofB]] = [c.all("SELECT handle FROM person WHERE id = ?", a)[0], c.all("SELECT handle FROM person WHERE id = ?", b)[0]];
    c.run("UPDATE person SET handle = NULL WHERE id = ?", a);
    c.run("UPDATE person SET handle = ?, version = ? WHERE id = ?", ofA, c.version, b);
    c.run("UPDATE person SET handle = ?, version = ? WHERE id = ?", ofB, c.version, a);
  },

  // --- families: three levels, by delete and by key
  foundCompany(c) {
    const id = big(c.random.between(1, 12));
    c.run("INSERT INTO company VALUES (?, ?)", id, c.random.pick(words));
    for (let number = 1; number <= 3; number++) {
      c.run("INSERT INTO department VALUES (?, ?, ?)", id, big(number), c.random.pick(words));
      for (let n = 0; n < 3; n++) c.run("INSERT INTO employee VALUES (NULL, ?, ?, ?)", id, big(number), somebody(c, "person"));
    }
  },
  replaceCompany: (c) => c.run("INSERT OR REPLACE INTO company VALUES (?, ?)", big(c.random.between(1, 12)), c.random.pick(words)),
  rekeyCompany: (c) => c.run("UPDATE company SET id = ? WHERE id = ?", big(c.random.between(1, 12)), big(c.random.between(1, 12))),
  closeCompany: (c) => c.run("DELETE FROM company WHERE id = ?", big(c.random.between(1, 12))),
  closeDepartment: (c) =>
    c.run("DELETE FROM department WHERE company = ? AND number = ?", big(c.random.between(1, 12)), big(c.random.between(1, 3))),
  moveEmployees(c) {
    const to = c.all("SELECT company, number FROM department ORDER BY company, number");
    if (to.length > 0)
      c.run("UPDATE employee SET company = ?, department = ? WHERE id % 4 = ?", ...c.random.pick(to), big(c.random.below(4)));
  },
  // The child goes elsewhere before its parent goes: a cascade at the target would take it along.
  rescueEmployees(c) {
    const [from, to] = [somebody(c, "company"), somebody(c, "company")];
    if (from === null || from === to) return;
    const home = c.all("SELECT min(number) FROM department WHERE company = ?", to)[0][0];
    if (home === null) return;
    c.run("UPDATE employee SET company = ?, department = ? WHERE company = ?", to, home, from);
    c.run("DELETE FROM company WHERE id = ?", from);
  },

  // --- keys of other shapes, values at the edges
  stock(c) {
    const [shop, sku] = [c.random.pick(shops), big(c.random.between(-3, 6))];
    const barcode = c.random.chance(0.5) ? null : `b${c.random.below(8)}`;
    c.run("INSERT OR REPLACE INTO stock VALUES (?, ?, ?, ?)", shop, sku, big(c.random.below(100)), barcode);
  },
  moveStock: (c) => c.run("UPDATE OR REPLACE stock SET shop = ?, sku = sku + 1 WHERE shop = ?", c.random.pick(shops), c.random.pick(shops)),
  sellStock: (c) => c.run("DELETE FROM stock WHERE quantity < ?", big(c.random.below(60))),
  setting: (c) =>
    c.run(
      "INSERT INTO setting VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value, raw = excluded.raw",
      c.random.pick(words),
      c.random.chance(0.1) ? null : c.random.pick(words),
      c.random.chance(0.1) ? null : bytes(c.random, 40),
    ),
  renameSetting: (c) =>
    c.run("UPDATE OR REPLACE setting SET name = name || ? WHERE name = ?", c.random.pick(["", "é", "z"]), c.random.pick(words)),
  forgetSettings: (c) => c.run("DELETE FROM setting WHERE length(name) > ?", big(c.random.between(1, 8))),
  document: (c) =>
    c.run(
      "REPLACE INTO document VALUES (?, ?, ?, ?)",
      bytes(c.random, 3),
      c.random.pick(words),
      c.random.chance(0.05) ? Buffer.alloc(60_000, c.random.below(256)) : bytes(c.random, 30),
      c.random.pick([null, "", "no nul", "\u0000", "a\u0000b\u0000"]),
    ),
  edge: (c) =>
    c.run(
      "REPLACE INTO edge VALUES (?, ?, ?, ?, ?)",
      c.random.chance(0.1) ? c.random.pick(wholes) : big(c.random.between(1, 30)),
      c.random.chance(0.1) ? null : c.random.pick(wholes),
      c.random.pick(reals),
      c.random.pick([null, ...words]),
      c.random.pick([null, Buffer.alloc(0), bytes(c.random, 20)]),
    ),
  line: (c) =>
    c.run(
      "REPLACE INTO line (id, quantity, price, placed) VALUES (?, ?, ?, ?)",
      big(c.random.between(1, 30)),
      big(c.random.between(-5, 90)),
      big(c.random.between(0, 999)),
      big(1_600_000_000_000 + c.random.below(2 ** 31) * 100),
    ),
  odd: (c) =>
    c.run(
      `REPLACE INTO "odd ""table"" näme" VALUES (?, ?, ?, ?)`,
      big(c.random.between(1, 20)),
      c.random.pick(words),
      null,
      c.random.pick(words),
    ),
  clear: (c) => c.run(`DELETE FROM ${c.random.pick(["line", "edge", "stock", "setting", "audit", "employee"])}`),
  noChange: (c) => c.run("UPDATE person SET id = id, version = version"),
};

/** A transaction of thousands of rows with a transfer around it: half of it, seen anywhere, shows in the sum. */
export function bigTransaction(c, rows) {
  const [[from], [to]] = [
    c.random.pick(c.all("SELECT id FROM account ORDER BY id")),
    c.random.pick(c.all("SELECT name FROM vault ORDER BY name")),
  ];
  c.run("UPDATE account SET balance = balance - 1000, version = ? WHERE id = ?", c.version, from);
  const [[count, first]] = c.all("SELECT count(*), min(batch) FROM bulk");
  if (count > rows * 3) c.run("DELETE FROM bulk WHERE batch IN (SELECT DISTINCT batch FROM bulk ORDER BY batch LIMIT 10)");
  else if (c.random.chance(0.3)) c.run("UPDATE bulk SET payload = payload || '.', batch = batch + 1 WHERE batch < ? + 8", first ?? 0n);
  else {
    const [[last]] = c.all("SELECT coalesce(max(batch), 0) + 1 FROM bulk");
    for (let i = 0; i < rows; i++) c.run("INSERT INTO bulk VALUES (NULL, ?, ?)", last + big(Math.floor(i / 500)), `row ${i}`);
  }
  c.run("UPDATE vault SET balance = balance + 1000, version = ? WHERE name = ?", c.version, to);
}
