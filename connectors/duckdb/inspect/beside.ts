/** What a DuckDB file has beside its tables. Each is told by name: as PostgreSQL would say it, or why it is left out. */
import type { SourceObject } from "../../../core/contracts/source.js";
import { type TableId, tableId } from "../../../core/vocabulary/ids.js";
import { tableName } from "../duck-table.js";
import { type ListedSchema, type ListedSequence, placeOf } from "./schema.js";
import { type KnownNames, translateView } from "./view-translation.js";

export function besideOf(schema: ListedSchema): readonly SourceObject[] {
  const known = knownNames(schema);
  return [
    ...schema.views.map((view): SourceObject => {
      const name = tableName(view.schema, view.name);
      const translated = translateView(view.sql, known);
      if (translated.kind === "translated") return { kind: "view", name, text: translated.parts };
      return { kind: "other", name, what: `View '${name}' is not carried over: ${translated.why}` };
    }),
    ...schema.sequences.map((sequence): SourceObject => ({ kind: "other", name: sequence.name, what: sequenceText(sequence) })),
    ...schema.macros.map(({ schema: place, name, kind }): SourceObject => {
      const full = tableName(place, name);
      const what = kind === "table_macro" ? "Table macro" : "Macro";
      return { kind: "other", name: full, what: `${what} '${full}' is not carried over: PostgreSQL has functions instead` };
    }),
  ];
}

function knownNames({ tables, columns, views }: ListedSchema): KnownNames {
  const names = tables.map(({ schema, name }): [string, TableId] => [
    tableName(schema, name).toLowerCase(),
    tableId(tableName(schema, name)),
  ]);
  return {
    // Those of views are listed as well.
    columns: [...new Set(tables.flatMap(({ schema, name }) => columns.get(placeOf(schema, name)) ?? []).map(({ name }) => name))],
    tables: new Map(names),
    views: new Set(views.map(({ schema, name }) => tableName(schema, name).toLowerCase())),
  };
}

function sequenceText({ name, start, increment, last, cycle }: ListedSequence): string {
  const at = last === null ? `has given no number yet and begins at ${start}` : `stands at ${last}`;
  return `Sequence '${name}' is not carried over: it ${at}, in steps of ${increment}${cycle ? ", and begins anew at its end" : ""}`;
}
