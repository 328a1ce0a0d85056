/**
 * The triggers of one table. They run inside the application's own SQLite, in its own statements: only syntax of SQLite 3.8, no function
 * that a version may lack, nothing that can fail a write except the fence.
 *
 * i u d     AFTER: log the row (and the key it had). `logsCurrentRow`: read it back, since others may have changed it in between; then an
 *           update that moved the key also leaves a hint about the old one, for the row may be gone when it is read back; and whoever has put
 *           a new row in the place that became free was logged before us, so that row is logged once more
 * bi bu br  BEFORE: hints about rows that REPLACE may push out through anything but the key
 * fi fu fd  BEFORE: the write fence
 *
 * What a BEFORE trigger sees is not always what is stored: REPLACE puts a NOT NULL column's default in the place of NULL.
 */
import type { TableDescription } from "../../core/vocabulary/table.js";
import { quoteName, quoteText } from "./quote.js";
import type { TableFacts, UniqueIndex } from "./table-facts.js";

export interface Trigger {
  readonly name: string;
  readonly sql: string;
}

/** Statements of the three AFTER triggers. */
interface Bodies {
  readonly inserted: readonly string[];
  readonly updated: readonly string[];
  readonly deleted: readonly string[];
}

export function captureTriggers(number: number, facts: TableFacts, description: TableDescription): readonly Trigger[] {
  const it = new TriggerWriter(number, facts, description);
  return [...it.captures(), ...it.hints(), ...it.fences()];
}

const now = "julianday('now')";

class TriggerWriter {
  readonly #table: string;
  readonly #columns: readonly string[];
  readonly #key: readonly string[];
  readonly #values: readonly string[];
  readonly #valuesAndKey: readonly string[];
  readonly #unlessApplying: string;

  constructor(
    private readonly number: number,
    private readonly facts: TableFacts,
    private readonly description: TableDescription,
  ) {
    this.#table = quoteName(facts.name);
    this.#columns = description.columns.map((c) => c.name);
    this.#key = description.key.map((i) => this.#columns[i] ?? "");
    this.#values = this.#columns.map((_, i) => `v${i}`);
    this.#valuesAndKey = [...this.#values, ...this.#keyColumns()];
    this.#unlessApplying = `WHEN (SELECT applying FROM _cdc_state WHERE id = ${description.group}) IS NOT 1`;
  }

  captures(): readonly Trigger[] {
    const { inserted, updated, deleted } = this.facts.logsCurrentRow ? this.#asItIsNow() : this.#asWritten();
    return [
      this.#trigger("i", "AFTER INSERT", this.#unlessApplying, inserted),
      this.#trigger("u", "AFTER UPDATE", this.#unlessApplying, updated),
      this.#trigger("d", "AFTER DELETE", this.#unlessApplying, deleted),
    ];
  }

  #asWritten(): Bodies {
    const row = this.#of("new", this.#columns);
    return {
      inserted: [this.#log(this.#values, `VALUES (${this.#head("I")}, ${row})`)],
      updated: [this.#log(this.#valuesAndKey, `VALUES (${this.#head("U")}, ${row}, ${this.#of("old", this.#key)})`)],
      deleted: [this.#deleted()],
    };
  }

  #asItIsNow(): Bodies {
    const oldKey = this.#of("old", this.#key);
    const hasMoved = `NOT (${this.#same("old", "new")})`;
    return {
      inserted: [this.#readBack("I", "new"), ...this.#withoutKey("I")],
      updated: [
        this.#log(this.#keyColumns(), `SELECT ${this.#head("R")}, ${oldKey} WHERE ${hasMoved}`),
        this.#readBack("U", "new"),
        ...this.#withoutKey("U"),
        this.#readBack("I", "old", ` AND ${hasMoved}`),
      ],
      deleted: [this.#deleted(), this.#readBack("I", "old")],
    };
  }

  hints(): readonly Trigger[] {
    // Each in a statement of its own, which finds its rows by the index: joined by OR they make SQLite read the whole table, for every write.
    const collisions = [...this.#otherUniques().map((index) => this.#collision(index)), ...this.#sameKeyOtherClass()];
    const rowid = this.facts.rowid === null ? null : `z.${this.facts.rowid} = new.${this.facts.rowid}`;
    const onInsert = rowid === null ? collisions : [...collisions, rowid];
    const triggers: Trigger[] = [];
    if (onInsert.length > 0) {
      const hints = onInsert.map((where) => this.#hint(where));
      triggers.push(this.#trigger("bi", "BEFORE INSERT", this.#unlessApplying, hints));
    }
    const notItself = `NOT (${this.#same("z", "old")})`;
    if (collisions.length > 0) {
      const hints = collisions.map((where) => this.#hint(`${where} AND ${notItself}`));
      triggers.push(this.#trigger("bu", `BEFORE UPDATE${this.#ofColumns()}`, this.#unlessApplying, hints));
    }
    if (rowid !== null) {
      const moves = `${this.#unlessApplying} AND NOT (new.${this.facts.rowid} IS old.${this.facts.rowid})`;
      triggers.push(this.#trigger("br", "BEFORE UPDATE", moves, [this.#hint(`${rowid} AND ${notItself}`)]));
    }
    return triggers;
  }

  fences(): readonly Trigger[] {
    const when = `WHEN (SELECT CASE WHEN fence_kept THEN 1 WHEN fence_until IS NULL THEN 0 ELSE fence_until > ${now} END FROM _cdc_state WHERE id = ${this.description.group})`;
    const body = `SELECT RAISE(ABORT, ${quoteText("tailrace: writes are fenced off while the database is being switched over")})`;
    return [
      this.#trigger("fi", "BEFORE INSERT", when, [body]),
      this.#trigger("fu", "BEFORE UPDATE", when, [body]),
      this.#trigger("fd", "BEFORE DELETE", when, [body]),
    ];
  }

  #trigger(kind: string, event: string, when: string, body: readonly string[]): Trigger {
    const name = `_cdc_${this.number}_${kind}`;
    return { name, sql: `CREATE TRIGGER ${name} ${event} ON ${this.#table} ${when} BEGIN ${body.map((s) => `${s};`).join(" ")} END` };
  }

  /** Values of the columns that every log row has. */
  #head(op: "I" | "U" | "D" | "R"): string {
    return `${this.number}, '${op}', ${now}`;
  }

  #log(columns: readonly string[], values: string): string {
    return `INSERT INTO _cdc_log (t, op, ts, ${columns.join(", ")}) ${values}`;
  }

  #deleted(): string {
    return this.#log(this.#values, `VALUES (${this.#head("D")}, ${this.#of("old", this.#columns)})`);
  }

  /** The row that has the key of `side` now, if there is one. */
  #readBack(op: "I" | "U", side: "old" | "new", where = ""): string {
    const here = this.#key.map((c) => `z.${quoteName(c)} = ${side}.${quoteName(c)}`).join(" AND ");
    return this.#written(op, "z", `FROM ${this.#table} z WHERE ${here}${where}`);
  }

  /** NULL in a key finds no row: such a row is logged as it was written, for the target to refuse it by name. */
  #withoutKey(op: "I" | "U"): readonly string[] {
    const isRowid = this.#otherUniques().length === this.facts.uniques.length;
    const nullable = this.description.key.flatMap((i) => this.description.columns[i] ?? []).filter((column) => column.nullable);
    if (nullable.length === 0 || isRowid) return [];
    return [this.#written(op, "new", `WHERE ${nullable.map((column) => `new.${quoteName(column.name)} IS NULL`).join(" OR ")}`)];
  }

  #written(op: "I" | "U", side: "new" | "z", from: string): string {
    const row = `SELECT ${this.#head(op)}, ${this.#of(side, this.#columns)}`;
    return op === "I"
      ? this.#log(this.#values, `${row} ${from}`)
      : this.#log(this.#valuesAndKey, `${row}, ${this.#of("old", this.#key)} ${from}`);
  }

  #hint(where: string): string {
    return this.#log(this.#keyColumns(), `SELECT ${this.#head("R")}, ${this.#of("z", this.#key)} FROM ${this.#table} z WHERE ${where}`);
  }

  #of(side: string, columns: readonly string[]): string {
    return columns.map((c) => `${side}.${quoteName(c)}`).join(", ");
  }

  #keyColumns(): readonly string[] {
    return this.#key.map((_, i) => `k${i}`);
  }

  #same(a: string, b: string): string {
    return this.#key.map((c) => `${a}.${quoteName(c)} IS ${b}.${quoteName(c)}`).join(" AND ");
  }

  #otherUniques(): readonly UniqueIndex[] {
    const key = this.#key.toSorted().join("\u0000");
    const isKey = ({ terms }: UniqueIndex): boolean =>
      terms.every((t) => t.column !== null && t.collation === "BINARY") &&
      terms
        .map((t) => t.column ?? "")
        .toSorted()
        .join("\u0000") === key;
    return this.facts.uniques.filter((index) => !isKey(index));
  }

  /**
   * That the other row is in a partial index lets SQLite use the index. Whether the new one is does not matter, for a hint too many does no harm; but an
   * expression is only asked of rows that are in its index: of others it may fail, and the application's write with it.
   */
  #collision({ terms, condition }: UniqueIndex): string {
    const each = terms.map((term) => {
      if (term.column !== null) return `z.${quoteName(term.column)} = ${this.#stored(term.column)} COLLATE ${quoteName(term.collation)}`;
      const row = this.facts.columns.map((c) => `${this.#stored(c.name)} AS ${quoteName(c.name)}`).join(", ");
      const value = condition === null ? term.expression : `CASE WHEN ${condition} THEN ${term.expression} END`;
      return `(${term.expression}) = (SELECT ${value} FROM (SELECT ${row})) COLLATE ${quoteName(term.collation)}`;
    });
    return `(${[...each, ...(condition === null ? [] : [`(${condition})`])].join(" AND ")})`;
  }

  /** Column of the new row as it will be stored. */
  #stored(column: string): string {
    const facts = this.facts.columns.find((c) => c.name === column);
    const value = `new.${quoteName(column)}`;
    if (facts === undefined || !facts.notNull || facts.defaultText === null) return value;
    return `CASE WHEN ${value} IS NULL THEN (${facts.defaultText}) ELSE ${value} END`;
  }

  /** 1 and 1.0 are one key to SQLite and two to us; only a column without affinity keeps them apart. */
  #sameKeyOtherClass(): readonly string[] {
    const loose = this.#key.filter((name) => {
      const type = this.facts.columns.find((c) => c.name === name)?.type ?? "";
      return type === "" || /^any$|blob/i.test(type);
    });
    if (loose.length === 0) return [];
    const equal = this.#key.map((c) => `z.${quoteName(c)} = new.${quoteName(c)}`).join(" AND ");
    const differs = loose.map((c) => `typeof(z.${quoteName(c)}) <> typeof(new.${quoteName(c)})`).join(" OR ");
    return [`(${equal} AND (${differs}))`];
  }

  /** An update of other columns cannot collide; but a generated column or an expression changes without being named. */
  #ofColumns(): string {
    const named = new Set(this.#sameKeyOtherClass().length > 0 ? this.#key : []);
    for (const { terms } of this.#otherUniques()) {
      for (const { column } of terms) {
        if (column === null || this.facts.columns.find((c) => c.name === column)?.generated !== false) return "";
        named.add(column);
      }
    }
    return ` OF ${[...named].map(quoteName).join(", ")}`;
  }
}
