/**
 * What checks of single tables ask about the schema as a whole, read in one pass: a question per table reads every row of `sqlite_master`, and with
 * thousands of tables that takes longer than a process may stand still. Legal inside the transaction in which it was made.
 */
import { foldCase } from "../../core/plan/names.js";
import type { Database } from "./database.js";
import { isOwnTrigger } from "./own-names.js";

export interface SchemaTrigger {
  readonly name: string;
  readonly sql: string;
  /** Rises with each that is made. */
  readonly age: number;
}

export class SchemaLook {
  readonly #triggers = new Map<string, SchemaTrigger[]>();
  readonly #own = new Map<number, Map<string, string>>();
  readonly #tables: ReadonlyMap<string, string>;
  readonly #indexes: ReadonlyMap<string, string>;
  readonly #withoutRowid: ReadonlySet<string>;
  readonly #followed: ReadonlySet<string>;

  constructor(database: Database) {
    const triggers = database
      .prepare(
        "SELECT tbl_name AS on_table, name, coalesce(sql, '') AS sql, rowid AS age FROM sqlite_master WHERE type = 'trigger' ORDER BY rowid",
      )
      .all() as (SchemaTrigger & { readonly on_table: string })[];
    for (const { on_table: table, name, sql, age } of triggers) {
      const list = this.#triggers.get(foldCase(table)) ?? [];
      list.push({ name, sql, age });
      this.#triggers.set(foldCase(table), list);
      const number = isOwnTrigger(name) ? Number(name.split("_")[2]) : null;
      if (number !== null) this.#own.set(number, (this.#own.get(number) ?? new Map<string, string>()).set(name, sql));
    }
    const texts = database.prepare("SELECT name, sql FROM sqlite_master WHERE type = ? AND sql IS NOT NULL").raw();
    this.#tables = new Map(texts.all("table") as [string, string][]);
    this.#indexes = new Map(texts.all("index") as [string, string][]);
    const wr = database.prepare("SELECT name FROM pragma_table_list WHERE schema = 'main' AND wr = 1").pluck().all();
    this.#withoutRowid = new Set(wr as string[]);
    const followed = database
      .prepare(
        `SELECT DISTINCT f."table" FROM sqlite_master m, pragma_foreign_key_list(m.name) f
         WHERE m.type = 'table' AND (f.on_update NOT IN ('NO ACTION', 'RESTRICT') OR f.on_delete NOT IN ('NO ACTION', 'RESTRICT'))`,
      )
      .pluck()
      .all() as string[];
    this.#followed = new Set(followed.map(foldCase));
  }

  /** Text of the table that is spelled like this; null: there is none. */
  sqlOf(table: string): string | null {
    return this.#tables.get(table) ?? null;
  }

  /** null: one that a UNIQUE or PRIMARY KEY has brought. */
  sqlOfIndex(index: string): string | null {
    return this.#indexes.get(index) ?? null;
  }

  /** Of the application, oldest first. */
  triggersOn(table: string): readonly SchemaTrigger[] {
    return (this.#triggers.get(foldCase(table)) ?? []).filter(({ name }) => !isOwnTrigger(name));
  }

  /** Of the table with this number: text by name. */
  ownTriggers(number: number): ReadonlyMap<string, string> {
    return this.#own.get(number) ?? new Map();
  }

  /** Children follow a change of this table by a foreign key action. */
  isFollowed(table: string): boolean {
    return this.#followed.has(foldCase(table));
  }

  isWithoutRowid(table: string): boolean {
    return this.#withoutRowid.has(table);
  }
}
