/**
 * Values of number types and boolean. Nothing is rounded and nothing is guessed: a value that the target type cannot hold exactly, or that
 * could be read in two ways ('007', ' 1', '1,5'), is refused.
 *
 * REAL counts by its shortest decimal form, the one that reads back as the same double: 0.1 is 0.1, and 0.1 + 0.2 has seventeen digits.
 */
import { type Decimal, formatDecimal, numericDigitsMax, numericScaleMax, parseDecimal, sameDecimal, scaleNeeded } from "./decimal.js";
import { type Convert, type Refused, refused } from "./mapped.js";

const wholeNumber = /^(?:0|-?[1-9]\d*)$/;

export function integerConverter(bits: 16 | 32 | 64): Convert {
  const max = 2n ** BigInt(bits - 1) - 1n;
  const min = -max - 1n;
  const [least, most] = [Number(min), Number(max)];
  const range = refused("value.range", `an integer that does not fit ${bits} bits`);
  const fraction = refused("value.type", "a REAL that is not a whole number within 2^53");
  const spelling = refused("value.type", "text that is not an integer in its plain form");
  const other = refused("value.type", "a BLOB where an integer is asked for");
  return (value) => {
    switch (typeof value) {
      case "bigint": {
        const n = Number(value);
        // Comparing big integers costs several times as much; printing costs less than that of a number beyond 32 bits, which is printed as a double.
        if (Number.isSafeInteger(n)) return n >= least && n <= most ? ((n | 0) === n ? n : value).toString() : range;
        return value >= min && value <= max ? value.toString() : range;
      }
      case "number":
        if (!Number.isSafeInteger(value)) return fraction;
        return bits === 64 || (value >= least && value <= most) ? (value + 0).toFixed(0) : range;
      case "string": {
        if (!wholeNumber.test(value)) return spelling;
        if (value.length > 20) return range;
        const n = BigInt(value);
        return n >= min && n <= max ? value : range;
      }
      default:
        return other;
    }
  };
}

const notANumber = refused("value.type", "a value that is not a number");
const tooLarge = refused("value.range", "a number beyond what numeric holds");

export function numericConverter(precision: number | null, scale: number): Convert {
  if (precision === null) return unconstrained;
  const digits = refused("value.range", `a number with more than ${precision - scale} digits before the point`);
  const places = refused("value.range", `a number that needs more than ${scale} decimal places`);
  const endless = refused("value.range", "an infinite number, which numeric with a precision refuses");
  const limit = scale >= 0 && scale <= precision ? 10n ** BigInt(precision - scale) : 0n;
  const fit = (d: Decimal): string | Refused => {
    if (d.digits === "") return "0";
    if (d.point > precision - scale) return digits;
    return scaleNeeded(d) > scale ? places : formatDecimal(d);
  };
  return (value) => {
    switch (typeof value) {
      case "bigint":
        if (value < limit && -value < limit) return value.toString();
        return fitText(value.toString(), fit);
      case "number":
        if (Number.isNaN(value)) return "NaN";
        return Number.isFinite(value) ? fitText(value.toString(), fit) : endless;
      case "string":
        return fitText(value, fit);
      default:
        return notANumber;
    }
  };
}

function fitText(text: string, fit: (d: Decimal) => string | Refused): string | Refused {
  const decimal = parseDecimal(text);
  return decimal === null ? notANumber : fit(decimal);
}

/** Text stays as it is written, with its trailing zeros, for numeric keeps them. */
const unconstrained: Convert = (value) => {
  switch (typeof value) {
    case "bigint":
      return value.toString();
    case "number":
      return value.toString();
    case "string": {
      const decimal = parseDecimal(value);
      if (decimal === null) return notANumber;
      return decimal.point <= numericDigitsMax && decimal.scale <= numericScaleMax ? value : tooLarge;
    }
    default:
      return notANumber;
  }
};

/** `single`: four bytes. */
export function floatConverter(single: boolean): Convert {
  const inexact = refused("value.range", `a number that ${single ? "real" : "double precision"} cannot hold exactly`);
  const held = single ? Math.fround : (n: number): number => n;
  return (value) => {
    switch (typeof value) {
      case "number":
        return Object.is(held(value), value) ? floatText(value) : inexact;
      case "bigint": {
        const n = held(Number(value));
        return Number.isFinite(n) && BigInt(n) === value ? value.toString() : inexact;
      }
      case "string": {
        const decimal = parseDecimal(value);
        if (decimal === null) return notANumber;
        const n = held(Number(value));
        const nearest = parseDecimal(n.toString());
        return nearest !== null && sameDecimal(decimal, nearest) ? floatText(n) : inexact;
      }
      default:
        return notANumber;
    }
  };
}

/**
 * The shortest decimal that reads back as the same double. Of at most two places and fifteen digits it is the number of hundredths itself: no two such
 * decimals are one double. Prices are like that, and the runtime's own way takes eight times as long.
 */
export function floatText(n: number): string {
  const hundredths = Math.round(n * 100);
  if (hundredths / 100 !== n || Math.abs(hundredths) >= 1e15) return Object.is(n, -0) ? "-0" : n.toString();
  if (hundredths === 0) return Object.is(n, -0) ? "-0" : "0";
  const size = Math.abs(hundredths);
  const rest = size % 100;
  const whole = (size - rest) / 100;
  const text = rest === 0 ? `${whole}` : rest % 10 === 0 ? `${whole}.${rest / 10}` : `${whole}.${rest < 10 ? "0" : ""}${rest}`;
  return n < 0 ? `-${text}` : text;
}

const notTruth = refused("value.type", "a value other than 0, 1, 'true' and 'false'");

export const booleanConverter: Convert = (value) => {
  switch (typeof value) {
    case "bigint":
      return value === 1n ? "t" : value === 0n ? "f" : notTruth;
    case "boolean":
      return value ? "t" : "f";
    case "string": {
      const word = value.length <= 5 ? value.toLowerCase() : "";
      return word === "true" ? "t" : word === "false" ? "f" : notTruth;
    }
    default:
      return notTruth;
  }
};
