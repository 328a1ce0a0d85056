/** Intervals as PostgreSQL and DuckDB print them, and one plain form that both read: months, days and microseconds do not become each other. */
import type { PostgresType } from "../../../core/mapping/postgres-type.js";

const unit = /^([+-]?\d+) (years?|mons?|months?|days?)(?: |$)/;
const clock = /^([+-]?)(\d+):(\d\d):(\d\d)(?:\.(\d{1,6}))?$/;

export const isInterval = (type: PostgresType): boolean => type.kind === "other" && type.name === "interval";

/** As our sessions ask PostgreSQL to print them: each part has a sign of its own. */
const iso = /^P(?:(-?\d+)Y)?(?:(-?\d+)M)?(?:(-?\d+)D)?(?:T(?:(-?\d+)H)?(?:(-?\d+)M)?(?:(-?)(\d+)(?:\.(\d{1,6}))?S)?)?$/;

/** null: not an interval as either of them prints it. */
export function plainInterval(text: string): string | null {
  return isoInterval(text) ?? wordedInterval(text);
}

function isoInterval(text: string): string | null {
  const found = iso.exec(text);
  if (found === null) return null;
  const [, years, months, days, hours, minutes, sign, seconds, fraction = ""] = found;
  const whole = (part: string | undefined): bigint => BigInt(part ?? "0");
  const micros = whole(seconds) * 1_000_000n + BigInt(fraction.padEnd(6, "0"));
  const clocked = (whole(hours) * 3_600n + whole(minutes) * 60n) * 1_000_000n + (sign === "-" ? -micros : micros);
  return `${whole(years) * 12n + whole(months)} months ${whole(days)} days ${clocked} microseconds`;
}

function wordedInterval(text: string): string | null {
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
