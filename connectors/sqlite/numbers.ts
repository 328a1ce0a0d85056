/**
 * Numbers that SQLite gives to new rows by itself: columns that are the rowid (INTEGER PRIMARY KEY). Without AUTOINCREMENT the next one is above the
 * highest that is there; with it, above every one that ever was, which `sqlite_sequence` remembers.
 */
import type { GivenNumber, SourceNumbers } from "../../core/contracts/cutover.js";
import { type Database, openDatabase, withSqliteErrors } from "./database.js";
import { isInstalled, readInstalled } from "./installed.js";
import { quoteName } from "./quote.js";

interface KeyColumn {
  readonly name: string;
  readonly type: string;
}

export function openSqliteNumbers(path: string): SourceNumbers {
  return new SqliteNumbers(path, openDatabase(path, { readonly: true }));
}

class SqliteNumbers implements SourceNumbers {
  constructor(
    private readonly path: string,
    private readonly database: Database,
  ) {}

  given(): readonly GivenNumber[] {
    return withSqliteErrors(this.path, () => {
      this.database.exec("BEGIN");
      try {
        return this.#read();
      } finally {
        this.database.exec("COMMIT");
      }
    });
  }

  [Symbol.dispose](): void {
    this.database.close();
  }

  #read(): readonly GivenNumber[] {
    if (!isInstalled(this.database)) return [];
    const captured = readInstalled(this.database).filter(({ state }) => state === "captured");
    const remembered = this.#remembered();
    return captured.flatMap(({ description: { table } }): readonly GivenNumber[] => {
      const column = this.#rowidColumn(table);
      if (column === null) return [];
      const there = this.database
        .prepare(`SELECT max(${quoteName(column)}) FROM ${quoteName(table)}`)
        .pluck()
        .safeIntegers()
        .get();
      const highest = typeof there === "bigint" ? there : 0n;
      const ever = remembered.get(table) ?? 0n;
      return [{ table, column, highest: ever > highest ? ever : highest }];
    });
  }

  /** A key column that has no index of its own is the rowid. */
  #rowidColumn(table: string): string | null {
    const sql = `SELECT name, type FROM pragma_table_xinfo(?, 'main') WHERE pk > 0`;
    const [only, ...others] = this.database.prepare<unknown[], KeyColumn>(sql).all(table);
    if (only === undefined || others.length > 0 || only.type.toUpperCase() !== "INTEGER") return null;
    const index = this.database.prepare("SELECT count(*) FROM pragma_index_list(?, 'main') WHERE origin = 'pk'").pluck().get(table);
    return index === 0 ? only.name : null;
  }

  #remembered(): ReadonlyMap<string, bigint> {
    const exists = this.database.prepare("SELECT count(*) FROM sqlite_master WHERE name = 'sqlite_sequence'").pluck().get();
    if (exists === 0) return new Map();
    const rows = this.database.prepare("SELECT name, seq FROM sqlite_sequence").safeIntegers().all() as { name: string; seq: bigint }[];
    return new Map(rows.map(({ name, seq }) => [name, BigInt(seq)]));
  }
}
