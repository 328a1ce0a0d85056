/**
 * Table descriptions as the log is told them. Their schema version carries the history in front, because a restored source counts its own
 * numbers again from an older one: a version names one description for ever.
 */
import { type SchemaVersion, schemaVersion } from "../vocabulary/ids.js";
import type { TableDescription } from "../vocabulary/table.js";
import type { CapturedTable } from "./capture-log.js";

const perHistory = 1_000_000;

export class Descriptions {
  #tables: ReadonlyMap<number, CapturedTable> = new Map();
  readonly #told = new Map<number, { readonly stored: TableDescription; readonly history: number; readonly told: TableDescription }>();

  take(tables: ReadonlyMap<number, CapturedTable>): void {
    this.#tables = tables;
  }

  all(): readonly CapturedTable[] {
    return [...this.#tables.values()];
  }

  isCaptured(table: number): boolean {
    return this.#tables.get(table)?.state === "captured";
  }

  /** As the source stores it. */
  stored(table: number): TableDescription {
    const known = this.#tables.get(table);
    if (known === undefined) throw new Error(`the log speaks of table ${table}, which nobody installed`);
    return known.description;
  }

  /** As it goes into the log. The same object until the description changes. */
  told(table: number, history: number): TableDescription {
    const stored = this.stored(table);
    const known = this.#told.get(table);
    if (known?.stored === stored && known.history === history) return known.told;
    const told = { ...stored, schema: toldVersion(history, stored.schema) };
    this.#told.set(table, { stored, history, told });
    return told;
  }

  replace(table: number, description: TableDescription): void {
    const known = this.#tables.get(table);
    if (known === undefined) throw new Error(`table ${table} cannot be widened: nobody installed it`);
    this.#tables = new Map(this.#tables).set(table, { ...known, description });
  }
}

function toldVersion(history: number, schema: number): SchemaVersion {
  if (schema >= perHistory) throw new Error(`${schema} schema versions in one source`);
  return schemaVersion(history * perHistory + schema);
}
