/** Canonical row form v1 (core/mapping/canonical.ts) in SQL. Relies on the session settings of connection.ts. */
import type { CanonicalColumn, CanonicalForm } from "../../core/mapping/canonical.js";
import { unreachable } from "../../core/vocabulary/unreachable.js";
import { quoteName } from "./quote.js";

/** SQL text of a row's canonical text; `alias` is the table's. */
export function canonicalRowSql(columns: readonly CanonicalColumn[], alias: string): string {
  const fields = columns.map(({ target, form }) => `coalesce(${canonicalSql(`${alias}.${quoteName(target)}`, form)}, '~')`);
  return fields.length === 0 ? "''" : fields.join(" || '|' || ");
}

/** NULL gives NULL. */
export function canonicalSql(x: string, form: CanonicalForm): string {
  switch (form) {
    case "plain":
    case "jsonb":
      return `${x}::text`;
    case "decimal":
      return `trim_scale(${x})::text`;
    case "double":
      return doubleSql(x);
    case "single":
      return doubleSql(`${x}::float8`);
    case "boolean":
      return `CASE WHEN ${x} THEN 't' WHEN NOT ${x} THEN 'f' END`;
    case "instant":
      return `CASE WHEN ${x} > '-infinity' AND ${x} < '290000-01-01 00:00:00' THEN (extract(epoch FROM ${x}) * 1000000)::bigint::text ELSE ${x}::text END`;
    case "bytes":
      return `encode(${x}, 'hex')`;
    case "text":
    case "padded":
    case "foreign":
      return `octet_length(${x}::text) || ':' || ${x}::text`;
    default:
      return unreachable(form);
  }
}

/** A NaN that was computed may carry other bits than the one that was read. */
const doubleSql = (x: string): string =>
  `CASE WHEN ${x} = 0 THEN '0000000000000000' WHEN ${x} = 'NaN' THEN '7ff8000000000000' ELSE encode(float8send(${x}), 'hex') END`;
