/** Intervals as PostgreSQL and DuckDB print them, and one plain form that both read: months, days and microseconds do not become each other. */
import type { PostgresType } from "../../../core/mapping/postgres-type.js";

const unit = /^([+-]?\d+) (years?|mons?|months?|days?)(?: |$)/;
const clock = /^([+-]?)(\d+):(\d\d):(\d\d)(?:\.(\d{1,6}))?$/;

export const isInterval = (type: PostgresType): boolean => type.kind === "other" && type.name === "interval";

/** null: not an interval as either of them prints it. */
export function plainInterval(text: string): string | null {
  let rest = text.trim();
  let months = 0n;
  let days = 0n;
  for (let found = unit.exec(rest); found !== null; found = unit.exec(rest)) {
    const n = BigInt(found[1] ?? "0");
    const what = found[2] ?? "";
    if (what.startsWith("day")) days += n;
    else months += what.startsWith("year") ? 12n * n : n;
    rest = rest.slice(found[0].length);
  }
  const micros = rest === "" ? 0n : microsOf(rest);
  return micros === null ? null : `${months} months ${days} days ${micros} microseconds`;
}

function microsOf(text: string): bigint | null {
  const found = clock.exec(text);
  if (found === null) return null;
  const [, sign, hours = "0", minutes = "0", seconds = "0", fraction = ""] = found;
  const micros = (BigInt(hours) * 3_600n + BigInt(minutes) * 60n + BigInt(seconds)) * 1_000_000n + BigInt(fraction.padEnd(6, "0"));
  return sign === "-" ? -micros : micros;
}
