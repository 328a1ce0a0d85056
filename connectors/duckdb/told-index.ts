/**
 * What is on record of what was told, known line by line: where each lies and which orders it has. Every file is read once, as it grows, in blocks; of a
 * line of rows nothing but its beginning is kept until somebody reads it.
 */
import { closeSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { TailraceError } from "../../core/errors.js";
import { type ToldFile, toldFiles } from "./told-log.js";

export interface ToldRange {
  readonly history: number;
  readonly after: number;
  readonly upTo: number;
}
/** Changes of one table. Some of them may lie outside of the range that was asked for. */
export interface ToldRows {
  readonly kind: "rows";
  readonly table: number;
  readonly from: number;
  readonly until: number;
  readonly place: { readonly file: string; readonly at: number; readonly bytes: number };
}
type Line =
  | ToldRows
  | { readonly kind: "begin"; readonly after: number }
  | { readonly kind: "end"; readonly order: number }
  | { readonly kind: "whole"; readonly order: number };

interface Known {
  readonly lines: Line[];
  /** Where the next line begins. */
  readonly read: number;
}

const blockBytes = 1 << 20;
/** More than what stands before the JSON of a line. */
const headBytes = 96;

export class ToldIndex {
  #files = new Map<string, Known>();

  constructor(private readonly directory: string) {}

  /** In order. Throws `source.pruned` unless everything of the range is there, or when a table was told as a whole in it. */
  between(range: ToldRange): readonly ToldRows[] {
    const { history, after, upTo } = range;
    if (upTo <= after) return [];
    const files = this.#filesOf(range);
    const found: ToldRows[] = [];
    let covered = files[0]?.above ?? 0;
    for (const file of files) {
      for (const line of this.#linesOf(file, range)) {
        if (line.kind === "begin") {
          if (line.after > covered) throw pruned(`Nothing is on record between ${covered} and ${line.after}`, range);
        } else if (line.kind === "end") covered = line.order;
        else if (line.kind === "whole") {
          if (line.order > after && line.order <= upTo) throw pruned("A table was told as a whole", range);
        } else {
          covered = line.until - 1;
          if (line.until - 1 > after && line.from <= upTo) found.push(line);
        }
        if (covered >= upTo) return found;
      }
    }
    throw pruned(`History ${history} is on record up to ${covered}`, range);
  }

  /** JSON list of [order, op, key, row or null]. Throws `source.pruned` when it was forgotten meanwhile. */
  json({ place, from, until }: ToldRows): string {
    return opened(join(this.directory, place.file), { after: from - 1, upTo: until - 1 }, (fd) => {
      const bytes = Buffer.allocUnsafe(place.bytes);
      for (let read = 0; read < bytes.length; ) {
        const more = readSync(fd, bytes, read, bytes.length - read, place.at + read);
        if (more === 0) throw pruned("A file of what was told was cut", { after: from - 1, upTo: until - 1 });
        read += more;
      }
      return bytes.toString("utf8");
    });
  }

  #filesOf(range: ToldRange): readonly ToldFile[] {
    const all = toldFiles(this.directory);
    const there = new Set(all.map(({ name }) => name));
    for (const name of this.#files.keys()) if (!there.has(name)) this.#files.delete(name);
    const files = all.filter(({ history, above }) => history === range.history && above < range.upTo);
    const first = files.findLastIndex(({ above }) => above <= range.after);
    if (first < 0) throw pruned("The beginning of the range was forgotten", range);
    // What lies between in an earlier file was told again in this one.
    return files.slice(first);
  }

  #linesOf({ name }: ToldFile, range: ToldRange): readonly Line[] {
    const known = this.#files.get(name) ?? { lines: [], read: 0 };
    const read = opened(join(this.directory, name), range, (fd) => readLines(fd, name, known));
    this.#files.set(name, { lines: known.lines, read });
    return known.lines;
  }
}

/** Adds to the lines that are known. Behind the last end of a line stands nothing, or what a crash left, or what is being written. */
function readLines(fd: number, file: string, { lines, read }: Known): number {
  const block = Buffer.allocUnsafe(blockBytes);
  let begin = read;
  let head = "";
  for (let at = read; ; ) {
    const bytes = block.subarray(0, readSync(fd, block, 0, blockBytes, at));
    if (bytes.length === 0) return begin;
    for (let from = 0; from < bytes.length; ) {
      const end = bytes.indexOf(0x0a, from);
      const until = end < 0 ? bytes.length : end;
      if (head.length < headBytes) head += bytes.toString("latin1", from, Math.min(until, from + headBytes));
      if (end < 0) break;
      const line = lineOf(head, { file, at: begin, bytes: at + end - begin });
      if (line !== null) lines.push(line);
      begin = at + end + 1;
      head = "";
      from = end + 1;
    }
    at += bytes.length;
  }
}

function lineOf(head: string, place: ToldRows["place"]): Line | null {
  const [kind = "", first = "", second = "", third = ""] = head.split("\t", 4);
  if (kind === "begin") return { kind, after: Number(first) };
  if (kind === "end") return { kind, order: Number(first) };
  if (kind === "whole") return { kind, order: Number(second) };
  if (kind !== "rows") return null;
  // JSON comes last and may be anything but the end of a line.
  const before = kind.length + first.length + second.length + third.length + 4;
  const json = { ...place, at: place.at + before, bytes: place.bytes - before };
  return { kind, table: Number(first), from: Number(second), until: Number(third), place: json };
}

function opened<T>(path: string, range: Pick<ToldRange, "after" | "upTo">, work: (fd: number) => T): T {
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch (cause) {
    throw new TailraceError("source.pruned", { what: "A file of what was told is gone", where: { path, ...range }, cause });
  }
  try {
    return work(fd);
  } finally {
    closeSync(fd);
  }
}

const pruned = (what: string, { after, upTo }: Pick<ToldRange, "after" | "upTo">): TailraceError =>
  new TailraceError("source.pruned", { what, where: { after, upTo } });
