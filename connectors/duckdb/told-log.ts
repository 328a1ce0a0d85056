/**
 * What was told, change by change, in files that other processes can read: the verifier asks it which rows changed between two reads, and how they
 * were then. Written before the log gets the same changes, so whatever the target may hold is in it; not synced, since a loss is noticed by its gap.
 *
 * A file's name says its number, its history and the order above which it begins: what is told again after a crash stands in a later file with the
 * same beginning. Its lines:
 *
 *   begin <after> <order>             a batch follows what was told up to `after`
 *   rows <table> <from> <until> JSON  changes of one table: [order, op, key, row or null], from ≤ order < until
 *   whole <table> <order>             too many changes of one table to be told one by one
 *   end <order>                       all of the batch is above
 *
 * A crash leaves a line without its end, which nobody reads: the next batch begins a new file.
 */
import { closeSync, openSync, readdirSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";

export interface ToldFile {
  readonly name: string;
  readonly number: number;
  readonly history: number;
  /** Everything that was told above it, up to where the next file begins, is in this file. */
  readonly above: number;
}

const fileBytesMost = 16 << 20;

export class ToldLog {
  #fd: number | null = null;
  #bytes = 0;
  #history = 0;

  constructor(private readonly directory: string) {}

  /** What was told in other histories is forgotten. */
  begin(history: number): void {
    this.#close();
    this.#history = history;
    for (const file of toldFiles(this.directory)) if (file.history !== history) rmSync(join(this.directory, file.name), { force: true });
  }

  batch(after: number, order: number): void {
    if (this.#fd === null || this.#bytes > fileBytesMost) this.#open(after);
    this.#write(`begin\t${after}\t${order}\n`);
  }

  rows(table: number, { from, until }: { readonly from: number; readonly until: number }, json: string): void {
    if (this.#bytes > fileBytesMost) this.#open(from - 1);
    this.#write(`rows\t${table}\t${from}\t${until}\t${json}\n`);
  }

  whole(table: number, order: number): void {
    this.#write(`whole\t${table}\t${order}\n`);
  }

  end(order: number): void {
    this.#write(`end\t${order}\n`);
  }

  /** Files of which nothing above `below` is. */
  prune(below: number): void {
    const files = toldFiles(this.directory);
    files.forEach(({ name }, i) => {
      const next = files[i + 1];
      if (next !== undefined && next.above <= below) rmSync(join(this.directory, name), { force: true });
    });
  }

  [Symbol.dispose](): void {
    this.#close();
  }

  #open(above: number): void {
    this.#close();
    const number = 1 + Math.max(0, ...toldFiles(this.directory).map((file) => file.number));
    this.#fd = openSync(join(this.directory, `${padded(number)}-${this.#history}-${above}.told`), "wx", 0o600);
    this.#bytes = 0;
  }

  #write(line: string): void {
    if (this.#fd === null) throw new Error("a batch that has not begun is told");
    const bytes = Buffer.from(line, "utf8");
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at);
    this.#bytes += bytes.length;
  }

  #close(): void {
    if (this.#fd !== null) closeSync(this.#fd);
    this.#fd = null;
  }
}

const padded = (n: number): string => n.toString().padStart(12, "0");

/** In the order in which they were written. */
export function toldFiles(directory: string): readonly ToldFile[] {
  return readdirSync(directory)
    .flatMap((name): readonly ToldFile[] => {
      const parts = /^(\d+)-(\d+)-(\d+)\.told$/.exec(name);
      return parts === null ? [] : [{ name, number: Number(parts[1]), history: Number(parts[2]), above: Number(parts[3]) }];
    })
    .toSorted((a, b) => a.number - b.number);
}
