/**
 * A copy of the source's tables, built from batch parts alone, and the checks that every batch must pass: positions rise, a schema control
 * precedes what needs it, chunks stand above the live changes. During a first snapshot or a repair it knows rows up to the cursor only.
 */
import assert from "node:assert/strict";
import type { BatchPart, Change, Chunk } from "../../core/contracts/change.js";
import { keyOrderOf } from "../../core/capture/key-order.js";
import { comparePositions, type Position } from "../../core/vocabulary/position.js";
import type { StorageClass, TableDescription } from "../../core/vocabulary/table.js";
import { isRawText, type Key, keyText, type Row, type Value } from "../../core/vocabulary/value.js";

interface ReplicaTable {
  readonly description: TableDescription;
  readonly rows: Map<string, { readonly key: Key; readonly row: Row }>;
  /** Up to where the rows are known. */
  readonly known: Key | "nothing" | "all";
}

export class Replica {
  #tables = new Map<string, ReplicaTable>();
  #history = -1;
  readonly markers: string[] = [];
  readonly controls: string[] = [];

  /** `beginsEqual`: it holds every row there is before anything is told; here, none. */
  constructor(private readonly beginsEqual = false) {}

  clone(): Replica {
    const copy = new Replica(this.beginsEqual);
    copy.#tables = new Map([...this.#tables].map(([name, table]) => [name, { ...table, rows: new Map(table.rows) }]));
    copy.#history = this.#history;
    copy.markers.push(...this.markers);
    copy.controls.push(...this.controls);
    return copy;
  }

  tables(): readonly TableDescription[] {
    return [...this.#tables.values()].map((t) => t.description);
  }

  rows(name: string): readonly Row[] {
    const table = this.#tables.get(name);
    if (table === undefined) return [];
    const compare = keyOrderOf(table.description);
    return [...table.rows.values()].toSorted((a, b) => compare(a.key, b.key)).map((it) => it.row);
  }

  isComplete(): boolean {
    return [...this.#tables.values()].every((t) => t.known === "all");
  }

  apply(parts: readonly BatchPart[], from: Position | null, until: Position): void {
    const isNewHistory = until.history !== this.#history;
    if (isNewHistory) for (const [name, table] of this.#tables) this.#tables.set(name, { ...table, known: "nothing" });
    this.#history = until.history;
    const told = new Set<string>();
    const live: { readonly table: TableDescription; readonly change: Change }[] = [];
    const chunks: { readonly table: TableDescription; readonly chunk: Chunk }[] = [];
    for (const part of parts) {
      if (part.kind === "control") this.#control(part.control, told);
      else {
        assert.ok(!isNewHistory || told.has(part.table.table), `a schema control precedes the data of ${part.table.table}`);
        assert.equal(
          this.#tables.get(part.table.table)?.description.schema,
          part.table.schema,
          "data comes under the schema that was told last",
        );
        if (part.kind === "chunk") chunks.push(part);
        else live.push(...part.changes.map((change) => ({ table: part.table, change })));
      }
    }
    const first = from !== null && from.history === until.history ? from : null;
    for (const it of live) assert.ok(isBetween(it.change.at, first, until), "a live change lies between its batch and the one before");
    live.sort((a, b) => comparePositions(a.change.at, b.change.at));
    for (const { table, change } of live) this.#change(table, change);
    let last = live.at(-1)?.change.at ?? first;
    for (const { table, chunk } of chunks) {
      assert.ok(isBetween(chunk.at, last, until), "a chunk stands above all live changes and the chunks before it");
      last = chunk.at;
      this.#chunk(table, chunk);
    }
  }

  /** Asserts that what is known equals these tables. */
  assertEquals(truth: (table: TableDescription) => ReadonlyMap<string, Row>, where: string): void {
    for (const [name, { description, rows, known }] of this.#tables) {
      if (known === "nothing") continue;
      const compare = keyOrderOf(description);
      const isKnown = (row: Row): boolean => known === "all" || compare(keyOfRow(description, row), known) <= 0;
      const expected = new Map([...truth(description)].filter(([, row]) => isKnown(row)));
      const actual = new Map([...rows].filter(([, it]) => isKnown(it.row)).map(([text, it]) => [text, it.row] as const));
      assert.deepEqual(printed(actual), printed(expected), `${name} ${where}`);
    }
  }

  #control(control: Extract<BatchPart, { kind: "control" }>["control"], told: Set<string>): void {
    this.controls.push(
      control.kind === "repair"
        ? `${control.step} ${control.table}`
        : control.kind === "marker"
          ? "marker"
          : `${control.kind} ${control.kind === "schema" ? control.table.table : control.table}`,
    );
    if (control.kind === "marker") this.markers.push(control.marker);
    if (control.kind === "dropped") this.#tables.delete(control.table);
    if (control.kind === "schema") {
      told.add(control.table.table);
      const known = this.#tables.get(control.table.table);
      this.#tables.set(control.table.table, {
        rows: known?.rows ?? new Map(),
        known: known?.known ?? (this.beginsEqual ? "all" : "nothing"),
        description: control.table,
      });
    }
    if (control.kind === "repair" && control.step === "begins") {
      const known = this.#tables.get(control.table);
      assert.ok(known !== undefined, "a repair begins for a table that was told");
      this.#tables.set(control.table, { ...known, known: "nothing" });
    }
    if (control.kind === "repair" && control.step === "ends") assert.ok(this.#tables.has(control.table));
  }

  #change(description: TableDescription, change: Change): void {
    const { rows } = this.#table(description);
    if (change.kind === "rekey") rows.delete(keyText(change.from));
    if (change.kind === "delete") rows.delete(keyText(change.key));
    else {
      assertDescribed(description, change.after);
      assert.equal(keyText(change.key), keyText(keyOfRow(description, change.after)), "a change's key is its row's");
      rows.set(keyText(change.key), { key: change.key, row: change.after });
    }
  }

  #chunk(description: TableDescription, chunk: Chunk): void {
    const table = this.#table(description);
    const { after, upTo } = chunk.scope;
    const compare = keyOrderOf(description);
    const inScope = (key: Key): boolean => (after === null || compare(key, after) > 0) && (upTo === null || compare(key, upTo) <= 0);
    const rows = new Map([...table.rows].filter(([, it]) => !inScope(it.key)));
    for (const row of chunk.rows) {
      assertDescribed(description, row);
      const key = keyOfRow(description, row);
      assert.ok(inScope(key), "a chunk's row lies in its scope");
      rows.set(keyText(key), { key, row });
    }
    assert.equal(chunk.last, upTo === null);
    this.#put(description, { rows, known: table.known === "all" ? "all" : (upTo ?? "all") });
  }

  #table(description: TableDescription): ReplicaTable {
    return this.#tables.get(description.table) ?? assert.fail(`${description.table} was never told`);
  }

  #put(description: TableDescription, change: Partial<ReplicaTable>): void {
    this.#tables.set(description.table, { ...this.#table(description), ...change });
  }
}

const keyOfRow = (table: TableDescription, row: Row): Key => table.key.map((i) => row[i] ?? null);

const isBetween = (at: Position, after: Position | null, until: Position): boolean =>
  (after === null || comparePositions(at, after) > 0) && comparePositions(at, until) <= 0;

function assertDescribed(table: TableDescription, row: Row): void {
  assert.equal(row.length, table.columns.length);
  table.columns.forEach((column, i) => {
    const value = row[i] ?? null;
    const seen = value === null ? null : classOf(value);
    const fits = seen === null ? column.nullable : column.classes.includes(seen) || (seen === "text" && column.classes.includes("decimal"));
    assert.ok(fits, `${table.table}.${column.name} is described as ${column.classes.join("|")}${column.nullable ? "|null" : ""}`);
  });
}

function classOf(value: Value): StorageClass {
  if (typeof value === "bigint") return "integer";
  if (typeof value === "number") return "real";
  if (typeof value === "string") return "text";
  if (typeof value === "boolean") return "boolean";
  return value !== null && isRawText(value) ? "raw" : "blob";
}

const printed = (rows: ReadonlyMap<string, Row>): readonly string[] =>
  [...rows].map(([key, row]) => `${key}: ${row.map((v) => keyText([v])).join(" | ")}`).toSorted();
