/** Reads what was told between two orders out of the files of told-log.ts, or says that it is not all there. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { TailraceError } from "../../core/errors.js";
import { type ToldFile, toldFiles } from "./told-log.js";

export interface ToldRows {
  readonly table: number;
  /** JSON list of [order, op, key, row or null]. */
  readonly json: string;
  /** Some of them may lie outside of the range that was asked for. */
  readonly from: number;
  readonly until: number;
}
export interface ToldRange {
  readonly history: number;
  readonly after: number;
  readonly upTo: number;
}

/** In order. Rejects with `source.pruned` unless everything of the range is there, or when a table was told as a whole in it. */
export function* toldBetween(directory: string, range: ToldRange): Generator<ToldRows, void, undefined> {
  const { history, after, upTo } = range;
  if (upTo <= after) return;
  const files = filesOf(directory, range);
  let covered = files[0]?.above ?? 0;
  for (const file of files) {
    for (const line of linesOf(directory, file)) {
      const fields = fieldsOf(line);
      const [kind = "", first = "", second = "", third = ""] = fields;
      if (kind === "begin") {
        if (Number(first) > covered) throw pruned(`Nothing is on record between ${covered} and ${first}`, range);
      } else if (kind === "end") covered = Number(first);
      else if (kind === "whole") {
        const order = Number(second);
        if (order > after && order <= upTo) throw pruned("A table was told as a whole", range);
      } else if (kind === "rows") {
        const [from, until] = [Number(second), Number(third)];
        covered = until - 1;
        if (until - 1 > after && from <= upTo) yield { table: Number(first), json: fields[4] ?? "[]", from, until };
      }
      if (covered >= upTo) return;
    }
  }
  throw pruned(`History ${history} is on record up to ${covered}`, range);
}

function filesOf(directory: string, range: ToldRange): readonly ToldFile[] {
  const files = toldFiles(directory).filter(({ history, above }) => history === range.history && above < range.upTo);
  const first = files.findLastIndex(({ above }) => above <= range.after);
  if (first < 0) throw pruned("The beginning of the range was forgotten", range);
  // What lies between in an earlier file was told again in this one.
  return files.slice(first);
}

function linesOf(directory: string, { name }: ToldFile): readonly string[] {
  try {
    const lines = readFileSync(join(directory, name), "utf8").split("\n");
    // Behind the last end of a line stands nothing, or what a crash left.
    return lines.slice(0, -1);
  } catch (cause) {
    throw new TailraceError("source.pruned", { what: "A file of what was told is gone", where: { name }, cause });
  }
}

/** JSON comes last and may be anything but the end of a line. */
function fieldsOf(line: string): readonly string[] {
  const parts = line.split("\t", 4);
  const [kind = "", table = "", from = "", until = ""] = parts;
  return kind === "rows" ? [...parts, line.slice(kind.length + table.length + from.length + until.length + 4)] : parts;
}

const pruned = (what: string, { after, upTo }: ToldRange): TailraceError =>
  new TailraceError("source.pruned", { what, where: { after, upTo } });
