/**
 * How an application spells moments in text. Where one column has one spelling, what comes back from PostgreSQL keeps to it: applications compare
 * such texts byte by byte, and many read a text without a zone as local time.
 */
import { formatInstant, type Instant } from "./calendar.js";

export interface TimeStyle {
  readonly separator: " " | "T";
  readonly zone: "" | "Z" | "+00" | "+00:00" | "+0000";
  /** Digits of the fraction at least. */
  readonly decimals: number;
}

/** As SQLite's own functions write it. */
export const sqliteStyle: TimeStyle = { separator: " ", zone: "", decimals: 0 };

const spelled = /^\d{4,6}-\d\d-\d\d([T ])\d\d:\d\d:\d\d(?:[.,](\d{1,6}))?(?: ?(Z|[+-]\d\d(?::?\d\d)?))?$/i;

/** The commonest one; SQLite's own where there is none. Offsets other than zero say that a zone is wanted, which is then UTC's. */
export function timeStyleOf(texts: Iterable<string>): TimeStyle {
  const counts = new Map<string, { readonly style: TimeStyle; n: number }>();
  for (const text of texts) {
    const parts = spelled.exec(text);
    if (parts === null) continue;
    const style: TimeStyle = {
      separator: parts[1] === " " ? " " : "T",
      zone: zoneLike(parts[3]),
      decimals: parts[2]?.length ?? 0,
    };
    const name = `${style.separator}${style.zone}${style.decimals}`;
    const known = counts.get(name);
    if (known === undefined) counts.set(name, { style, n: 1 });
    else known.n += 1;
  }
  const [commonest] = [...counts.values()].toSorted((a, b) => b.n - a.n);
  return commonest?.style ?? sqliteStyle;
}

function zoneLike(zone: string | undefined): TimeStyle["zone"] {
  if (zone === undefined) return "";
  if (/^z$/i.test(zone)) return "Z";
  return zone.includes(":") ? "+00:00" : zone.length > 3 ? "+0000" : "+00";
}

const lastYearBc = / BC$/;

/** Null where ISO text has no way to say it: years before 1 BC. */
export function styledInstant(at: Instant, { separator, zone, decimals }: TimeStyle): string | null {
  const printed = formatInstant(at, "");
  const text = lastYearBc.test(printed) ? yearZero(printed.replace(lastYearBc, "")) : printed;
  if (text === null) return null;
  const [date = "", time = ""] = text.split(" ");
  const [clock = "", fraction = ""] = time.split(".");
  const digits = fraction.padEnd(decimals, "0");
  return `${date}${separator}${clock}${digits === "" ? "" : `.${digits}`}${zone}`;
}

/** 1 BC is the year 0 to SQLite and to ISO. */
export const yearZero = (text: string): string | null => (text.startsWith("0001-") ? `0000-${text.slice(5)}` : null);
