/** Reads ISO 8601 dates and times as applications write them. Whatever could be meant in two ways is not read. */
import { daysFromCivil, daysInMonth, type Instant, secondsPerDay } from "./calendar.js";

export interface IsoMoment extends Instant {
  /** False for a date alone, which means its first moment. */
  readonly hasTime: boolean;
}

export type IsoFault = "form" | "impossible" | "digits";

const moment = /^(\d{4,6})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?(?: ?(Z|[+-]\d\d(?::?\d\d)?))?)?$/i;

/**
 * Without a zone it is UTC. Year 0 is 1 BC, as SQLite has it. Refused: 24:00, second 60, offsets from 16 hours on (PostgreSQL's limit) and
 * fractions finer than a microsecond.
 */
export function readIso(text: string): IsoMoment | IsoFault {
  return readCommon(text) ?? readAny(text);
}

/**
 * `YYYY-MM-DD HH:MM:SS`, as SQLite itself writes it, digit by digit: three times as fast as the expression below. Null when the text is
 * of another form or not a moment; the expression then finds out what it is.
 */
function readCommon(text: string): IsoMoment | null {
  if (text.length !== 19 || text.charCodeAt(4) !== 45 || text.charCodeAt(7) !== 45 || text.charCodeAt(10) !== 32) return null;
  if (text.charCodeAt(13) !== 58 || text.charCodeAt(16) !== 58) return null;
  const year = pair(text, 0) * 100 + pair(text, 2);
  const month = pair(text, 5);
  const day = pair(text, 8);
  const hour = pair(text, 11);
  const minute = pair(text, 14);
  const second = pair(text, 17);
  // A pair that is not two digits is NaN, which fails each of these.
  if (!(year >= 0 && month >= 1 && month <= 12 && day >= 1 && day <= 28 && hour < 24 && minute < 60 && second < 60)) return null;
  return { seconds: daysFromCivil(year, month, day) * secondsPerDay + hour * 3600 + minute * 60 + second, micros: 0, hasTime: true };
}

function pair(text: string, at: number): number {
  const tens = text.charCodeAt(at) - 48;
  const ones = text.charCodeAt(at + 1) - 48;
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : Number.NaN;
}

function readAny(text: string): IsoMoment | IsoFault {
  const parts = moment.exec(text);
  if (parts === null) return "form";
  const year = Number(parts[1]);
  const month = Number(parts[2]);
  const day = Number(parts[3]);
  if (month < 1 || month > 12 || day < 1 || day > daysInMonth(year, month)) return "impossible";
  const midnight = daysFromCivil(year, month, day) * secondsPerDay;
  if (parts[4] === undefined) return { seconds: midnight, micros: 0, hasTime: false };
  const second = readClock(parts[4], parts[5], parts[6]);
  const micros = readFraction(parts[7]);
  const offset = readOffset(parts[8]);
  if (second === null || second === secondsPerDay || offset === null) return "impossible";
  if (micros === null) return "digits";
  return { seconds: midnight + second - offset, micros, hasTime: true };
}

const timeOfDay = /^(\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?$/;

/** A time of day alone; 24:00:00 is the end of the day, which PostgreSQL's `time` has. */
export function readTimeOfDay(text: string): { readonly second: number; readonly micros: number } | IsoFault {
  const parts = timeOfDay.exec(text);
  if (parts === null) return "form";
  const second = readClock(parts[1], parts[2], parts[3]);
  const micros = readFraction(parts[4]);
  if (micros === null) return "digits";
  if (second === null || (second === secondsPerDay && micros > 0)) return "impossible";
  return { second, micros };
}

/** Seconds since midnight; 86,400 for 24:00. */
function readClock(hourText = "", minuteText = "", secondText = "0"): number | null {
  const hour = Number(hourText);
  const minute = Number(minuteText);
  const second = Number(secondText);
  if (minute > 59 || second > 59 || hour > 24) return null;
  if (hour === 24 && (minute > 0 || second > 0)) return null;
  return hour * 3600 + minute * 60 + second;
}

function readFraction(digits: string | undefined): number | null {
  if (digits === undefined) return 0;
  if (digits.length > 6 && !/^\d{6}0+$/.test(digits)) return null;
  return Number(digits.slice(0, 6).padEnd(6, "0"));
}

function readOffset(zone: string | undefined): number | null {
  if (zone === undefined || zone === "Z" || zone === "z") return 0;
  const hours = Number(zone.slice(1, 3));
  const minutes = Number(zone.slice(3).replace(":", "") || "0");
  if (hours > 15 || minutes > 59) return null;
  return (zone.startsWith("-") ? -1 : 1) * (hours * 3600 + minutes * 60);
}

const printed = /^(\d{4,6})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?(?:\+00)?( BC)?$/;

/** A timestamp as PostgreSQL and `formatInstant` print it, in UTC. Null for the infinities. */
export function readPrinted(text: string): Instant | null {
  const tail = text.length - 19;
  const common = tail === 0 || (tail === 3 && text.endsWith("+00")) ? readCommon(tail === 0 ? text : text.slice(0, 19)) : null;
  if (common !== null) return common;
  const parts = printed.exec(text);
  if (parts === null) return null;
  const year = parts[8] === undefined ? Number(parts[1]) : 1 - Number(parts[1]);
  const midnight = daysFromCivil(year, Number(parts[2]), Number(parts[3])) * secondsPerDay;
  const second = Number(parts[4]) * 3600 + Number(parts[5]) * 60 + Number(parts[6]);
  return { seconds: midnight + second, micros: Number((parts[7] ?? "").padEnd(6, "0")) };
}
