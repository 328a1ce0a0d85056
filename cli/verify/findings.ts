/** Rows that differ, for people and for scripts: key, kind, columns, and on request the values as both sides have them now. */
import type { KeyedRow } from "../../core/contracts/row-reader.js";
import type { StoredMismatch } from "../../core/contracts/verification.js";
import { printable } from "../../core/errors.js";
import { canonicalColumns, canonicalValue } from "../../core/mapping/canonical.js";
import type { TableId } from "../../core/vocabulary/ids.js";
import { isRawText, type Value } from "../../core/vocabulary/value.js";
import type { Verifier } from "../../services/verify/verifier.js";
import type { Paint } from "../output/output.js";

export interface ShownValue {
  readonly column: string;
  /** null: NULL, or the row is not there. Masked unless asked for. */
  readonly source: string | null;
  readonly target: string | null;
}
export interface ShownMismatch {
  readonly table: string;
  readonly key: readonly (string | null)[];
  readonly kind: StoredMismatch["kind"];
  readonly columns: readonly string[];
  readonly why: string | null;
  readonly state: StoredMismatch["state"];
  /** Of the columns that differ now; of a row that one side lacks, of its key alone. */
  readonly values: readonly ShownValue[];
}

export const mask = "•••";

/** At most `samples` of each table, values read now. */
export async function findingsOf(
  verifier: Verifier,
  of: { readonly table: TableId | null; readonly samples: number; readonly showValues: boolean },
  signal: AbortSignal,
): Promise<readonly ShownMismatch[]> {
  const stored = await verifier.store.mismatches({ table: of.table, limit: 100_000 }, signal);
  const shown: ShownMismatch[] = [];
  for (const table of new Set(stored.map((row) => row.table))) {
    const some = stored.filter((row) => row.table === table).slice(0, of.samples);
    const values = await valuesOf(verifier, table, some, of.showValues, signal);
    some.forEach(({ key, kind, columns, why, state }, i) =>
      shown.push({ table, key: key.map(keyPart), kind, columns, why, state, values: values[i] ?? [] }),
    );
  }
  return shown;
}

async function valuesOf(
  { sides, plan }: Verifier,
  table: TableId,
  rows: readonly StoredMismatch[],
  showValues: boolean,
  signal: AbortSignal,
): Promise<readonly (readonly ShownValue[])[]> {
  const planned = plan.tables.find(({ source }) => source === table);
  const keys = rows.map(({ key }) => key);
  if (planned === undefined) return [];
  const columns = canonicalColumns(planned);
  const names = await sides.source.identify(table, keys, signal);
  // For people the file is the source, whichever side applications write to.
  const [file, postgres] = sides.direction === "forward" ? [sides.source, sides.target] : [sides.target, sides.source];
  const source = byId((await file.rowsByKey(table, keys, signal)).value);
  const target = byId((await postgres.rowsByKey(table, keys, signal)).value);
  const shown = (text: string | null | undefined): string | null => (text === null || text === undefined ? null : showValues ? text : mask);
  return names.map(({ id }) => {
    const ours = source.get(id) ?? null;
    const theirs = target.get(id) ?? null;
    if (ours === null && theirs === null) return [];
    return columns.flatMap(({ target: column, form }, i) => {
      const [a, b] = [ours?.[i] ?? null, theirs?.[i] ?? null];
      const both = ours !== null && theirs !== null;
      if (both && canonicalValue(form, a) === canonicalValue(form, b)) return [];
      return [{ column, source: shown(a), target: shown(b) }];
    });
  });
}

const byId = (rows: readonly KeyedRow[]): ReadonlyMap<string, readonly (string | null)[]> =>
  new Map(rows.flatMap((row) => (row.kind === "row" ? [[row.id, row.row] as const] : [])));

/** A key's value for people; a blob as x'…'. */
export function keyPart(value: Value): string | null {
  if (value === null) return null;
  if (value instanceof Uint8Array) return `x'${Buffer.from(value).toString("hex")}'`;
  if (isRawText(value)) return `x'${Buffer.from(value.rawText).toString("hex")}'`;
  return typeof value === "object" ? "…" : String(value);
}

export const keyName = (key: readonly (string | null)[]): string => printable(key.map((part) => part ?? "NULL").join(", "));

export function findingLines(shown: readonly ShownMismatch[], paint: Paint): readonly string[] {
  return shown.flatMap((row) => {
    const what = { missing: "missing at the target", extra: "not at the source", changed: "differs", unsettled: "unsettled" }[row.kind];
    const colour = row.kind === "unsettled" ? paint.yellow : paint.red;
    const columns = row.kind === "changed" ? ` in ${row.columns.map(printable).join(", ")}` : "";
    const asked = row.state === "asked" ? paint.dim("  (repair was asked for)") : "";
    const head = `  ${colour(what.padEnd(21))} ${printable(row.table)} [${keyName(row.key)}]${columns}${row.why === null ? "" : `: ${printable(row.why)}`}${asked}`;
    const values = row.kind === "changed" ? row.values : [];
    return [
      head,
      ...values.map(({ column, source, target }) => `      ${printable(column)}: source ${value(source)}  target ${value(target)}`),
    ];
  });
}

const value = (text: string | null): string => (text === null ? "NULL" : printable(text.length > 60 ? `${text.slice(0, 60)}…` : text));
