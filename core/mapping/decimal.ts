/** Exact decimal arithmetic on text: just enough to say whether a number fits a `numeric` and to compare two spellings. */

export interface Decimal {
  readonly negative: boolean;
  /** Without leading or trailing zeros; "" is zero. */
  readonly digits: string;
  /** The value is 0.digits times ten to this power: how many digits stand before the point (negative: zeros behind it). */
  readonly point: number;
  /** Digits behind the point as written, trailing zeros included: what PostgreSQL calls the display scale. */
  readonly scale: number;
}

/** Limits of an unconstrained numeric. */
export const numericDigitsMax = 131_072;
export const numericScaleMax = 16_383;

const form = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/;

/** Null when the text is not a decimal number. No blanks, no words, no separators. */
export function parseDecimal(text: string): Decimal | null {
  const parts = form.exec(text);
  if (parts === null) return null;
  const [, sign = "", whole = "", fraction = "", power = "0"] = parts;
  if (whole === "" && fraction === "") return null;
  // A power of absurd length becomes a large number and fails every check of range.
  const exponent = Number(power);
  const all = whole + fraction;
  const leading = zerosBefore(all);
  const trailing = leading === all.length ? 0 : zerosBehind(all);
  return {
    negative: sign === "-",
    digits: all.slice(leading, all.length - trailing),
    point: leading === all.length ? 0 : whole.length - leading + exponent,
    scale: Math.max(0, fraction.length - exponent),
  };
}

function zerosBefore(text: string): number {
  let n = 0;
  while (n < text.length && text.charCodeAt(n) === 48) n++;
  return n;
}

function zerosBehind(text: string): number {
  let n = 0;
  while (n < text.length && text.charCodeAt(text.length - 1 - n) === 48) n++;
  return n;
}

export const sameDecimal = (a: Decimal, b: Decimal): boolean =>
  a.digits === b.digits && a.point === b.point && (a.negative === b.negative || a.digits === "");

/** Digits that are needed behind the point; negative when the number is a multiple of a power of ten. */
export const scaleNeeded = (d: Decimal): number => (d.digits === "" ? 0 : d.digits.length - d.point);

/** Without exponent. Only for numbers whose `point` and scale are known to be within PostgreSQL's limits. */
export function formatDecimal(d: Decimal): string {
  if (d.digits === "") return "0";
  const sign = d.negative ? "-" : "";
  if (d.point <= 0) return `${sign}0.${"0".repeat(-d.point)}${d.digits}`;
  if (d.point >= d.digits.length) return `${sign}${d.digits}${"0".repeat(d.point - d.digits.length)}`;
  return `${sign}${d.digits.slice(0, d.point)}.${d.digits.slice(d.point)}`;
}

/** One text for each value, the shortest without an exponent: 1.50 is 1.5, -0 is 0. NaN and the infinities stay as they are. */
export function canonicalDecimal(text: string): string {
  if (isPlainInteger(text)) return text;
  const decimal = parseDecimal(text);
  return decimal === null ? text : formatDecimal(decimal);
}

/** Of the form that is canonical already; most numbers are, and the expression of `parseDecimal` is ten times as dear. */
function isPlainInteger(text: string): boolean {
  const start = text.charCodeAt(0) === 45 ? 1 : 0;
  if (text.length === start || (text.charCodeAt(start) === 48 && text.length > 1)) return false;
  for (let i = start; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 48 || unit > 57) return false;
  }
  return true;
}
