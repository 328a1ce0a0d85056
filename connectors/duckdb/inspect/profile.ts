/** What the values of a table look like: one aggregating scan by the engine, since the declarations already say what each value is. */
import type { ColumnProfile } from "../../../core/contracts/source.js";
import type { ColumnDescription } from "../../../core/vocabulary/table.js";
import { type ColumnType, columnType } from "../column-type.js";
import { type DuckTable, quoteName, rowKeyColumn, tableSql } from "../duck-table.js";
import type { Database } from "../engine/database.js";

type Counts = Readonly<Record<string, bigint | null>>;

export async function profileTable(database: Database, table: DuckTable): Promise<readonly ColumnProfile[]> {
  const { columns } = table.description;
  const own = columns.filter(({ name }) => name !== rowKeyColumn);
  const wanted = own.flatMap((column, i) => aggregatesOf(column, i));
  const { relation } = tableSql({ ...table, mode: "keyed" });
  const [counts] = await database.rows<Counts>(`SELECT count(*) AS rows${wanted.map((one) => `, ${one}`).join("")} FROM ${relation}`);
  const rows = Number(counts?.rows ?? 0);
  return columns.map((column) => {
    const i = own.indexOf(column);
    const number = (name: string): number => Number(counts?.[`${name}${i}`] ?? 0);
    const type = typeOf(column);
    const nulls = i < 0 ? 0 : number("nulls");
    const seen = rows - nulls;
    return {
      column: column.name,
      rows,
      nulls,
      classes: seen === 0 ? {} : { [type.storage]: seen },
      integerMin: null,
      integerMax: null,
      textWithNul: number("nul"),
      bytesMax: number("bytes"),
      fits: [],
      declared: declaredType(column, type, { nul: number("nul"), misfits: number("misfits") }),
    };
  });
}

const typeOf = ({ declaredType }: ColumnDescription): ColumnType => {
  const type = columnType(declaredType);
  if (type === null) throw new Error(`a captured column of type ${declaredType}`);
  return type;
};

function aggregatesOf(column: ColumnDescription, i: number): readonly string[] {
  const name = quoteName(column.name);
  const type = typeOf(column);
  const nulls = `count(*) - count(${name}) AS nulls${i}`;
  const misfits = misfitsOf(column, name);
  return [
    nulls,
    ...(column.declaredType === "VARCHAR"
      ? [`count(*) FILTER (contains(${name}, chr(0))) AS nul${i}`, `max(strlen(${name})) AS bytes${i}`]
      : []),
    ...(type.storage === "blob" ? [`max(octet_length(${name})) AS bytes${i}`] : []),
    ...(misfits === null ? [] : [`count(*) FILTER (${misfits}) AS misfits${i}`]),
  ];
}

/** SQL that is true for values which the type's first choice at the target refuses, where that can be. */
function misfitsOf({ declaredType }: ColumnDescription, name: string): string | null {
  if (declaredType === "TIMESTAMP_NS") return `isfinite(${name}) AND epoch_ns(${name}) % 1000 <> 0`;
  if (declaredType === "JSON") return `NOT json_valid(${name}) OR contains(${name}::VARCHAR, '\\u0000')`;
  return null;
}

function declaredType(
  { declaredType: declared }: ColumnDescription,
  { target, storage }: ColumnType,
  { nul, misfits }: { readonly nul: number; readonly misfits: number },
): NonNullable<ColumnProfile["declared"]> {
  const asIs = { kind: "as-is" } as const;
  if (nul > 0 && storage === "text")
    return { type: "bytea", conversion: asIs, why: `${nul} of its texts hold NUL, which text cannot hold` };
  if (misfits > 0 && declared === "TIMESTAMP_NS") {
    return { type: "bigint", conversion: asIs, why: `${misfits} of its times have nanoseconds: they are kept as nanoseconds since 1970` };
  }
  if (misfits > 0 && declared === "JSON")
    return { type: "text", conversion: asIs, why: `${misfits} of its values are not JSON that jsonb can hold` };
  return { ...target, why: noteOf(declared) };
}

/** Types that have no equal at the target. */
function noteOf(declared: string): string | null {
  if (declared.startsWith("ENUM(")) return "its labels are checked by the source";
  if (declared.endsWith("]") || /^(?:STRUCT|MAP|UNION)\(/.test(declared)) return "nested values are carried as JSON";
  return declared === "TIME_NS" ? "the target has no nanoseconds" : null;
}
