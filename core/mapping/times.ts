/**
 * Values of date and time types. A moment is read (epoch, Julian day or ISO text) and written as PostgreSQL prints it, exact to the
 * microsecond or refused. `timestamp` holds UTC wall time. With `from: epoch-…` or `julian-day` ISO text is still read as what it is, because
 * one column often holds both: numbers from the application, text from CURRENT_TIMESTAMP.
 *
 * Julian days are read as SQLite reads them: to its own resolution of one millisecond, which a REAL of today's size only just has.
 */
import type { Conversion } from "../contracts/plan.js";
import { unreachable } from "../vocabulary/unreachable.js";
import type { Value } from "../vocabulary/value.js";
import { endDay, endSecond, firstSecond, formatDate, formatInstant, formatTimeOfDay, type Instant, secondsPerDay } from "./calendar.js";
import { type IsoFault, readIso, readTimeOfDay } from "./iso.js";
import { type Convert, type Refused, refused } from "./mapped.js";

const notIso = refused("value.time", "text that is not a date or time of the form YYYY-MM-DD HH:MM:SS");
const impossible = refused("value.time", "a date or time that does not exist");
const fine = refused("value.time", "a time with more decimals than the target type holds");
const late = refused("value.time", "a time beyond what PostgreSQL holds");
const notTime = refused("value.time", "a value that is not a time");
const bareNumber = refused("value.time", "a number in a column whose mapping does not say what it counts (`from`)");
const notWhole = refused("value.time", "a number that is not whole");
const withTime = refused("value.time", "a moment with a time of day where a date is asked for");

type Read = (value: Value) => Instant | Refused;

const isRefused = (x: Instant | Refused): x is Refused => "code" in x;
const faults: Readonly<Record<IsoFault, Refused>> = { form: notIso, impossible, digits: fine };

export function timestampConverter(zone: boolean, precision: number | null, conversion: Conversion): Convert {
  const read = reader(conversion);
  const suffix = zone ? "+00" : "";
  const unit = 10 ** (6 - (precision ?? 6));
  return (value) => {
    const at = read(value);
    if (isRefused(at)) return endlessText(value, conversion) ?? at;
    if (at.seconds < firstSecond || at.seconds >= endSecond) return late;
    return at.micros % unit === 0 ? formatInstant(at, suffix) : fine;
  };
}

export function dateConverter(conversion: Conversion): Convert {
  const read = reader(conversion);
  return (value) => {
    const at = read(value);
    if (isRefused(at)) return endlessText(value, conversion) ?? at;
    if (at.micros !== 0 || at.seconds % secondsPerDay !== 0) return withTime;
    const days = at.seconds / secondsPerDay;
    return at.seconds >= firstSecond && days < endDay ? formatDate(days) : late;
  };
}

/** `time without time zone`: only text says a time of day. */
export function timeConverter(precision: number | null): Convert {
  const unit = 10 ** (6 - (precision ?? 6));
  return (value) => {
    if (typeof value !== "string") return notTime;
    const at = readTimeOfDay(value);
    if (typeof at === "string") return faults[at];
    return at.micros % unit === 0 ? formatTimeOfDay(at.second, at.micros) : fine;
  };
}

function reader(conversion: Conversion): Read {
  switch (conversion.kind) {
    case "as-is":
    case "iso":
      return readText;
    case "epoch":
      return epochReader({ s: 1, ms: 1000, us: 1_000_000 }[conversion.unit]);
    case "counted":
      return countedReader(conversion.unit);
    case "julian-day":
      return readJulianDay;
    default:
      return unreachable(conversion);
  }
}

const readText: Read = (value) => {
  if (typeof value !== "string") return typeof value === "bigint" || typeof value === "number" ? bareNumber : notTime;
  const at = readIso(value);
  return typeof at === "string" ? faults[at] : at;
};

const wholeText = /^(?:0|-?[1-9]\d{0,18})$/;

/** `perSecond` units make a second. */
function epochReader(perSecond: number): Read {
  const microsPerUnit = 1_000_000 / perSecond;
  const unitsPerSecond = BigInt(perSecond);
  const fromNumber = (n: number): Instant => {
    const seconds = Math.floor(n / perSecond);
    return { seconds, micros: (n - seconds * perSecond) * microsPerUnit };
  };
  const fromBigInt = (n: bigint): Instant => {
    const near = Number(n);
    if (Number.isSafeInteger(near)) return fromNumber(near);
    const rest = ((n % unitsPerSecond) + unitsPerSecond) % unitsPerSecond;
    return { seconds: Number((n - rest) / unitsPerSecond), micros: Number(rest) * microsPerUnit };
  };
  return (value) => {
    switch (typeof value) {
      case "bigint":
        return fromBigInt(value);
      case "number":
        return Number.isSafeInteger(value) ? fromNumber(value) : notWhole;
      case "string":
        return wholeText.test(value) ? fromBigInt(BigInt(value)) : readText(value);
      default:
        return notTime;
    }
  };
}

const endless64 = 2n ** 63n - 1n;
const endlessDays = 2n ** 31n - 1n;

function endlessText(value: Value, conversion: Conversion): string | null {
  if (typeof value !== "bigint" || conversion.kind !== "counted") return null;
  const endless = conversion.unit === "d" ? endlessDays : endless64;
  return value === endless ? "infinity" : value === -endless ? "-infinity" : null;
}

function countedReader(unit: "d" | "us" | "ns"): Read {
  if (unit === "us") {
    const read = epochReader(1_000_000);
    return (value) => (typeof value === "bigint" && value !== endless64 && value !== -endless64 ? read(value) : late);
  }
  if (unit === "d") {
    return (value) =>
      typeof value === "bigint" && value !== endlessDays && value !== -endlessDays
        ? { seconds: Number(value) * secondsPerDay, micros: 0 }
        : late;
  }
  return (value) => {
    if (typeof value !== "bigint" || value === endless64 || value === -endless64) return late;
    const rest = ((value % perSecondInNs) + perSecondInNs) % perSecondInNs;
    // Nanoseconds that are not whole microseconds stay a fraction, which every precision refuses.
    return { seconds: Number((value - rest) / perSecondInNs), micros: Number(rest) / 1000 };
  };
}
const perSecondInNs = 1_000_000_000n;

const julianMsOf1970 = 210_866_760_000_000;
/** 9999-12-31 23:59:59.999, the last moment SQLite's own functions know. */
const julianMsMax = 464_269_060_799_999;

const readJulianDay: Read = (value) => {
  if (typeof value === "string") return readText(value);
  if (typeof value !== "bigint" && typeof value !== "number") return notTime;
  // SQLite's own arithmetic, so that a moment it wrote comes back as it was.
  const ms = Math.floor(Number(value) * 86_400_000 + 0.5);
  if (!(ms >= 0 && ms <= julianMsMax)) return late;
  const since1970 = ms - julianMsOf1970;
  const seconds = Math.floor(since1970 / 1000);
  return { seconds, micros: (since1970 - seconds * 1000) * 1000 };
};
