/**
 * The tables of the hostile application. `account` and `vault` hold money whose sum never changes; `tx_ledger` holds the id of each
 * transaction that committed; the others are there to be difficult.
 */
export const bankSum = 1_000_000;

export const tables = `
CREATE TABLE tx_ledger (id INTEGER PRIMARY KEY, kind TEXT NOT NULL);
CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL, version INTEGER NOT NULL);
CREATE TABLE vault (name TEXT PRIMARY KEY NOT NULL, balance INTEGER NOT NULL, version INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE person (
  id INTEGER PRIMARY KEY, email TEXT UNIQUE, handle TEXT, score REAL, active BOOLEAN, touched INTEGER NOT NULL DEFAULT 0,
  version INTEGER NOT NULL
);
CREATE UNIQUE INDEX person_handle ON person (handle);
CREATE TABLE audit (id INTEGER PRIMARY KEY, person INTEGER NOT NULL, what TEXT NOT NULL, version INTEGER NOT NULL);
CREATE TABLE company (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE department (
  company INTEGER NOT NULL REFERENCES company (id) ON DELETE CASCADE ON UPDATE CASCADE, number INTEGER NOT NULL, title TEXT,
  PRIMARY KEY (company, number)
);
CREATE TABLE employee (
  id INTEGER PRIMARY KEY, company INTEGER, department INTEGER,
  mentor INTEGER REFERENCES person (id) ON DELETE SET NULL ON UPDATE CASCADE,
  FOREIGN KEY (company, department) REFERENCES department (company, number) ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE TABLE stock (
  shop TEXT NOT NULL, sku INTEGER NOT NULL, quantity INTEGER NOT NULL, barcode TEXT UNIQUE, PRIMARY KEY (shop, sku)
) WITHOUT ROWID;
CREATE TABLE setting (name TEXT PRIMARY KEY NOT NULL, value TEXT, raw BLOB);
CREATE TABLE document (id BLOB PRIMARY KEY NOT NULL, title TEXT, body BLOB, nul_text TEXT);
CREATE TABLE edge (id INTEGER PRIMARY KEY, whole INTEGER, real REAL, words TEXT, bytes BLOB);
CREATE TABLE line (
  id INTEGER PRIMARY KEY, quantity INTEGER NOT NULL, price INTEGER NOT NULL, placed INTEGER NOT NULL,
  total INTEGER GENERATED ALWAYS AS (quantity * price) STORED, label TEXT GENERATED ALWAYS AS ('n' || quantity) VIRTUAL
);
CREATE TABLE bulk (id INTEGER PRIMARY KEY, batch INTEGER NOT NULL, payload TEXT NOT NULL);
CREATE INDEX bulk_batch ON bulk (batch);
CREATE TABLE "odd ""table"" näme" ("the ""key""" INTEGER PRIMARY KEY, "select" TEXT, "a b" TEXT, "__proto__" TEXT);
`;

/**
 * The application's own triggers. SQLite fires the youngest trigger first, so those that come after the capture's own are the harder
 * case: they change the row before the capture sees it.
 */
export const triggers = `
CREATE TRIGGER IF NOT EXISTS app_person_touched AFTER UPDATE OF score ON person BEGIN
  UPDATE person SET touched = touched + 1 WHERE id = new.id;
END;
CREATE TRIGGER IF NOT EXISTS app_person_audit AFTER UPDATE ON person WHEN new.active IS NOT old.active BEGIN
  INSERT INTO audit (person, what, version) VALUES (new.id, 'active', new.version);
END;
CREATE TRIGGER IF NOT EXISTS app_line_priced AFTER INSERT ON line BEGIN
  UPDATE line SET price = price + 1 WHERE id = new.id;
END;
CREATE TRIGGER IF NOT EXISTS app_person_goes AFTER DELETE ON person BEGIN
  DELETE FROM audit WHERE person = old.id AND what = 'active';
END;
`;

/** Fills the tables, so that there is something to snapshot. */
export function fill(db, random, rows) {
  db.transaction(() => {
    const half = bankSum / 2;
    for (let id = 1; id <= 40; id++) db.prepare("INSERT INTO account VALUES (?, ?, 0)").run(BigInt(id), BigInt(half / 40));
    for (let i = 0; i < 10; i++) db.prepare("INSERT INTO vault VALUES (?, ?, 0)").run(`vault ${i}`, BigInt(half / 10));
    const insert = db.prepare("INSERT INTO bulk VALUES (?, ?, ?)");
    for (let id = 1; id <= rows; id++) insert.run(BigInt(id), BigInt(1 + Math.floor(id / 500)), "x".repeat(random.between(1, 200)));
    // The data profile decides target types, so every column shows one value of its class before the plan is made.
    db.exec(`
      INSERT INTO person VALUES (1, 'a@example.org', 'a', 0.5, 1, 0, 0), (2, NULL, NULL, -1e300, 0, 0, 0);
      INSERT INTO audit VALUES (1, 1, 'born', 0);
      INSERT INTO company VALUES (1, 'one'), (2, 'two');
      INSERT INTO department VALUES (1, 1, 'a'), (1, 2, NULL), (2, 1, 'c');
      INSERT INTO employee VALUES (1, 1, 1, 1), (2, 2, 1, NULL), (3, NULL, NULL, 2);
      INSERT INTO stock VALUES ('Köln', 1, 5, 'k1'), ('köln', 1, 6, NULL), ('', -1, 0, 'k2');
      INSERT INTO setting VALUES ('plain', 'value', x'00ff'), ('', '', x''), ('naïve ☃', NULL, NULL);
      INSERT INTO document VALUES (x'00', 't', x'0102', 'a' || char(0) || 'b'), (x'', NULL, NULL, NULL);
      INSERT INTO edge VALUES (1, 9223372036854775807, 9e999, '', x''), (2, -9223372036854775808, -9e999, 'é', NULL);
      INSERT INTO line (id, quantity, price, placed) VALUES (1, 2, 300, 1700000000123);
      INSERT INTO "odd ""table"" näme" VALUES (1, 'from', 'x', 'proto');
      INSERT INTO tx_ledger VALUES (0, 'fill');
    `);
  })();
}
