/**
 * Foreign keys of the file, asked once at the end of a window about what the window touched. SQLite's own enforcement is off while rows are written: it
 * would run cascades that the stream brings as rows of their own, and refuse what only holds when all is written.
 *
 * A row that points nowhere already, and goes on pointing there, is left alone.
 */
import type { Value } from "../../../core/vocabulary/value.js";
import { keyText } from "../../../core/vocabulary/value.js";
import { bindable, keyParameters } from "../cells.js";
import type { Database, Statement } from "../database.js";
import { listColumns, listForeignKeys } from "../inspect/schema.js";
import { quoteName } from "../quote.js";

interface Reference {
  readonly child: string;
  readonly columns: readonly string[];
  readonly parent: string;
  readonly parentColumns: readonly string[];
}
export interface BrokenReference extends Reference {
  /** SQLite's foreign keys have no names: the columns on both sides. */
  readonly constraint: string;
}
/** Values by column; a column that is not there is not known. */
export type Cell = (column: string) => Value | undefined;

export class ForeignKeys {
  /** Values that must be found, by reference: in the parent, or, where a parent has gone, no longer in the child. */
  readonly #needed = new Map<Reference, Map<string, readonly Value[]>>();
  readonly #freed = new Map<Reference, Map<string, readonly Value[]>>();
  readonly #prepared = new Map<string, Statement>();
  readonly #byChild = new Map<string, Reference[]>();
  readonly #byParent = new Map<string, Reference[]>();

  constructor(
    private readonly database: Database,
    tables: Iterable<string>,
  ) {
    for (const child of tables) for (const reference of referencesOf(database, child)) this.#know(reference);
  }

  /** Columns of a table that some reference needs. */
  columnsOf(table: string): readonly string[] {
    const child = (this.#byChild.get(table) ?? []).flatMap(({ columns }) => columns);
    const parent = (this.#byParent.get(table.toLowerCase()) ?? []).flatMap(({ parentColumns }) => parentColumns);
    return [...new Set([...child, ...parent])];
  }

  /** `before` null: the row is new; `after` null: it is gone. */
  changed(table: string, before: Cell | null, after: Cell | null): void {
    for (const reference of this.#byChild.get(table) ?? []) note(this.#needed, reference, reference.columns, after, before);
    for (const reference of this.#byParent.get(table.toLowerCase()) ?? [])
      note(this.#freed, reference, reference.parentColumns, before, after);
  }

  /** Null: all hold. */
  broken(): BrokenReference | null {
    for (const [reference, all] of this.#needed) {
      for (const values of all.values()) if (!this.#is(reference.parent, reference.parentColumns, values)) return broken(reference);
    }
    for (const [reference, all] of this.#freed) {
      for (const values of all.values()) {
        if (this.#is(reference.parent, reference.parentColumns, values)) continue;
        if (this.#is(reference.child, reference.columns, values)) return broken(reference);
      }
    }
    return null;
  }

  forget(): void {
    this.#needed.clear();
    this.#freed.clear();
  }

  #know(reference: Reference): void {
    const { child, parent } = reference;
    this.#byChild.set(child, [...(this.#byChild.get(child) ?? []), reference]);
    const name = parent.toLowerCase();
    this.#byParent.set(name, [...(this.#byParent.get(name) ?? []), reference]);
  }

  #is(table: string, columns: readonly string[], values: readonly Value[]): boolean {
    const parameters = keyParameters(values);
    const where = columns.map((column, i) => `${quoteName(column)} = ${parameters[i] ?? "?"}`).join(" AND ");
    const sql = `SELECT 1 FROM ${quoteName(table)} WHERE ${where} LIMIT 1`;
    const statement = this.#prepared.get(sql) ?? this.database.prepare(sql);
    this.#prepared.set(sql, statement);
    return statement.get(...bindable(values)) !== undefined;
  }
}

const broken = (reference: Reference): BrokenReference => ({
  ...reference,
  constraint: `${reference.child}(${reference.columns.join(", ")}) REFERENCES ${reference.parent}(${reference.parentColumns.join(", ")})`,
});

/** What `of` has and `other` has not. NULL points nowhere. */
function note(
  into: Map<Reference, Map<string, readonly Value[]>>,
  reference: Reference,
  columns: readonly string[],
  of: Cell | null,
  other: Cell | null,
): void {
  if (of === null) return;
  const values = columns.map((column) => of(column) ?? null);
  if (values.includes(null)) return;
  const text = keyText(values);
  if (other !== null && text === keyText(columns.map((column) => other(column) ?? null))) return;
  const known = into.get(reference) ?? new Map<string, readonly Value[]>();
  into.set(reference, known.set(text, values));
}

/** A reference to something that is not there is none: SQLite itself only says so when it is asked to enforce it. */
function referencesOf(database: Database, child: string): readonly Reference[] {
  return listForeignKeys(database, child).flatMap(({ columns, parent, parentColumns }): readonly Reference[] => {
    const there = listColumns(database, parent);
    const key = there
      .filter(({ keyPlace }) => keyPlace > 0)
      .toSorted((a, b) => a.keyPlace - b.keyPlace)
      .map(({ name }) => name);
    const referred = parentColumns ?? key;
    return there.length > 0 && referred.length === columns.length ? [{ child, columns, parent, parentColumns: referred }] : [];
  });
}
