/**
 * Days, seconds and microseconds of the proleptic Gregorian calendar by integer arithmetic, in PostgreSQL's range. JavaScript's Date is not
 * used: it has milliseconds, ends in the year 275760 and mends what is wrong (30 February).
 */

/** A moment: whole seconds since 1970-01-01 00:00:00 UTC, and 0 to 999,999 microseconds after them. Exact as JS numbers. */
export interface Instant {
  readonly seconds: number;
  readonly micros: number;
}

export const secondsPerDay = 86_400;
/** 4714-11-24 BC, the first day of the Julian day count. */
export const firstSecond = -210_866_803_200;
/** 294277-01-01: the first moment that is too late for a timestamp. */
export const endSecond = 9_224_318_016_000;
/** 5874898-01-01: the first day that is too late for a date. */
export const endDay = 2_145_042_906;

/** Days since 1970-01-01. Year 0 is 1 BC. */
export function daysFromCivil(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const yearOfEra = y - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}

export function daysInMonth(year: number, month: number): number {
  if (month === 2) return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

/** `YYYY-MM-DD` and whether the year is before Christ, where PostgreSQL wants ` BC` at the end of the whole text. */
function dateParts(days: number): { readonly text: string; readonly bc: boolean } {
  const z = days + 719_468;
  const era = Math.floor(z / 146_097);
  const dayOfEra = z - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const shifted = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * shifted + 2) / 5) + 1;
  const month = shifted < 10 ? shifted + 3 : shifted - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  const bc = year <= 0;
  return { text: `${fourDigits(bc ? 1 - year : year)}-${two(month)}-${two(day)}`, bc };
}

export function formatDate(days: number): string {
  const { text, bc } = dateParts(days);
  return bc ? `${text} BC` : text;
}

/** As PostgreSQL prints it: no trailing zeros in the fraction, zone behind it. */
export function formatInstant(at: Instant, zone: "" | "+00"): string {
  const days = Math.floor(at.seconds / secondsPerDay);
  const { text, bc } = dateParts(days);
  return `${text} ${formatTimeOfDay(at.seconds - days * secondsPerDay, at.micros)}${zone}${bc ? " BC" : ""}`;
}

export function formatTimeOfDay(second: number, micros: number): string {
  const hour = Math.floor(second / 3600);
  const minute = Math.floor((second - hour * 3600) / 60);
  return `${two(hour)}:${two(minute)}:${two(second % 60)}${fractionText(micros)}`;
}

export function fractionText(micros: number): string {
  if (micros === 0) return "";
  let digits = padded(micros, 6);
  while (digits.endsWith("0")) digits = digits.slice(0, -1);
  return `.${digits}`;
}

const padded = (n: number, width: number): string => n.toString().padStart(width, "0");

// Nearly every number that is printed here has two digits, and padding each anew took half of the time of a conversion.
const twoDigits = Array.from({ length: 100 }, (_, n) => padded(n, 2));
const two = (n: number): string => twoDigits[n] ?? padded(n, 2);
const fourDigits = (n: number): string => (n < 10_000 ? two(Math.floor(n / 100)) + two(n % 100) : n.toString());
