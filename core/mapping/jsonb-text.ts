/**
 * JSON text as PostgreSQL's jsonb prints it: keys by their length in bytes and then by bytes, of equal keys the last one, numbers without
 * exponent and with the scale they were written with, `": "` and `", "`. For valid JSON that jsonb takes; depth is bounded by the mapping.
 */
import { parseDecimal } from "./decimal.js";

export function canonicalJsonb(text: string): string {
  return new Reader(text).document();
}

const space = /[\u0020\t\n\r]*/y;
const numberToken = /-?\d[\d.eE+-]*/y;
const stringToken = /"(?:[^"\\]|\\.)*"/y;

class Reader {
  #at = 0;

  constructor(private readonly text: string) {}

  document(): string {
    return this.#value();
  }

  #value(): string {
    this.#skip();
    switch (this.text[this.#at]) {
      case "{":
        return this.#object();
      case "[":
        return this.#array();
      case '"':
        return quoted(this.#string());
      case "t":
        return this.#word("true");
      case "f":
        return this.#word("false");
      case "n":
        return this.#word("null");
      default:
        return printedNumber(this.#token(numberToken));
    }
  }

  #object(): string {
    const entries = new Map<string, string>();
    this.#at += 1;
    for (let first = true; !this.#ends("}"); first = false) {
      if (!first) this.#at += 1;
      this.#skip();
      const key = this.#string();
      this.#skip();
      this.#at += 1;
      entries.set(key, this.#value());
    }
    const keys = [...entries.keys()].map((key) => ({ key, bytes: Buffer.from(key, "utf8") }));
    keys.sort((a, b) => a.bytes.length - b.bytes.length || Buffer.compare(a.bytes, b.bytes));
    return `{${keys.map(({ key }) => `${quoted(key)}: ${entries.get(key) ?? ""}`).join(", ")}}`;
  }

  #array(): string {
    const items: string[] = [];
    this.#at += 1;
    for (let first = true; !this.#ends("]"); first = false) {
      if (!first) this.#at += 1;
      items.push(this.#value());
    }
    return `[${items.join(", ")}]`;
  }

  #ends(bracket: string): boolean {
    this.#skip();
    if (this.text[this.#at] !== bracket) return false;
    this.#at += 1;
    return true;
  }

  #string(): string {
    const token = this.#token(stringToken);
    return token.includes("\\") ? (JSON.parse(token) as string) : token.slice(1, -1);
  }

  #word(word: string): string {
    this.#at += word.length;
    return word;
  }

  #token(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const token = pattern.exec(this.text)?.[0];
    if (token === undefined) throw new Error("the text is not JSON");
    this.#at += token.length;
    return token;
  }

  #skip(): void {
    space.lastIndex = this.#at;
    this.#at += space.exec(this.text)?.[0].length ?? 0;
  }
}

/** As PostgreSQL's numeric prints what it was given: 1e2 is 100, 1.50 stays, -0.0 is 0.0. */
function printedNumber(token: string): string {
  if (/^(?:-?[1-9]\d*|0)(?:\.\d+)?$/.test(token)) return token;
  const decimal = parseDecimal(token);
  if (decimal === null) throw new Error("the text is not JSON");
  const { digits, point, scale } = decimal;
  const whole = point > 0 ? digits.slice(0, point).padEnd(point, "0") : "0";
  const fraction = point > 0 ? digits.slice(point) : "0".repeat(digits === "" ? 0 : -point) + digits;
  const sign = decimal.negative && digits !== "" ? "-" : "";
  return scale === 0 ? `${sign}${whole}` : `${sign}${whole}.${fraction.padEnd(scale, "0")}`;
}

// JSON.stringify writes what PostgreSQL writes for every text without lone surrogates, DEL included.
const quoted = (text: string): string => JSON.stringify(text);
