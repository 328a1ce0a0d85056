/**
 * Which parts of a table a copy has as an earlier copy had them, found out without reading their rows.
 *
 * A row group is as it was when its list of segments is the same, when the bytes of all blocks that they lie in are, and when the same of its rows
 * are alive (DuckDB notes deletions elsewhere). None of the three is enough: blocks are used again after two checkpoints, so a list comes back
 * with other rows behind it. What the log's replay has left in memory has no mark, and is compared row by row.
 */
import { createHash } from "node:crypto";
import { closeSync, openSync, readSync, statSync } from "node:fs";
import { type DuckTable, quoteName, quoteText } from "../duck-table.js";
import { headerBytes } from "../copy/file-headers.js";
import type { Database } from "./database.js";

export interface RowGroup {
  /** Row id of its first row. */
  readonly first: number;
  /** Deleted ones included. */
  readonly rows: number;
  /** Equal marks at one place: equal rows. null: nothing is known. */
  readonly mark: string | null;
}

/** Row ids from `from` to below `until`; null: and all that follow. */
export interface Span {
  readonly from: number;
  readonly until: number | null;
}

interface Layout extends Readonly<Record<string, string | number | bigint | boolean | null>> {
  readonly rows: bigint | null;
  readonly settled: boolean;
  readonly layout: string;
  readonly blocks: string;
}

/** Live rows are summed up by as many row ids; a row group of the usual size has fifteen of these. */
const livingUnit = 8_192;
/** Segments without a block hold one value, which their statistics print exactly. */
const printedTypes = "VALIDITY|BOOLEAN|U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|FLOAT|DOUBLE|DATE|TIME|TIMESTAMP(_S|_MS|_NS)?|DECIMAL.*";

export class RowGroups {
  #path = "";
  #inode = 0n;
  /** By block number, of the file that is attached. */
  #digests = new Map<number, Buffer>();

  constructor(private readonly database: Database) {}

  /** Before the copy in use is let go: while both exist they cannot have the same inode, unless they are the same file. */
  attached(path: string): void {
    const { ino } = statSync(path, { bigint: true });
    if (ino !== this.#inode) this.#digests = new Map();
    this.#inode = ino;
    this.#path = path;
  }

  /** In order, and covering all row ids. null: this table does not say. */
  async of({ schema, name }: DuckTable): Promise<readonly RowGroup[] | null> {
    const place = `src.${quoteName(schema)}.${quoteName(name)}`;
    // The function's own parser of names does not know doubled quotes.
    if (`${schema}${name}`.includes('"')) return null;
    const layouts = await this.database.rows<Layout>(
      `SELECT (sum(count) FILTER (WHERE column_id = 0 AND column_path = '[0, 0]'))::BIGINT AS rows,
         bool_and(persistent AND NOT has_updates AND (block_id >= 0 OR (compression IN ('Constant', 'Empty Validity') AND regexp_full_match(segment_type, '${printedTypes}')))) AS settled,
         md5(string_agg(row(column_path, segment_id, start, count, compression, stats, block_id, block_offset, segment_info, additional_block_ids)::VARCHAR, '|' ORDER BY column_id, column_path, segment_id)) AS layout,
         array_to_string(list_sort(list_distinct(list_concat(list(block_id), flatten(list(additional_block_ids))))), ',') AS blocks
       FROM pragma_storage_info(${quoteText(place)}) GROUP BY row_group_id ORDER BY row_group_id`,
    );
    if (layouts.some(({ rows }) => rows === null)) return null;
    const living = this.#living(place);
    // The engine counts live rows while this thread reads blocks.
    living.catch(() => {});
    const stored = await this.#stored(layouts);
    const units = await living;
    let first = 0;
    return layouts.map(({ rows }, i): RowGroup => {
      const group = { first, rows: Number(rows) };
      first += group.rows;
      const digest = stored[i] ?? null;
      if (digest === null) return { ...group, mark: null };
      const mark = createHash("sha256").update(digest);
      const last = Math.floor((first - 1) / livingUnit);
      for (let unit = Math.floor(group.first / livingUnit); unit <= last; unit++) mark.update(`${units.get(unit) ?? "none"} `);
      return { ...group, mark: mark.digest("base64") };
    });
  }

  /** Of each row group that lies on disk as a whole: a digest of the list of its segments and of their blocks. */
  async #stored(layouts: readonly Layout[]): Promise<readonly (Buffer | null)[]> {
    const [found] = await this.database.rows<{ size: bigint }>(
      "SELECT block_size AS size FROM pragma_database_size() WHERE database_name = 'src'",
    );
    const size = Number(found?.size ?? 0);
    const block = Buffer.allocUnsafe(size);
    const fd = openSync(this.#path, "r");
    try {
      return layouts.map(({ settled, layout, blocks }) => {
        if (!settled) return null;
        const hash = createHash("sha256").update(layout);
        for (const text of blocks.split(",")) if (Number(text) >= 0) hash.update(this.#digest(fd, Number(text), block));
        return hash.digest();
      });
    } finally {
      closeSync(fd);
    }
  }

  #digest(fd: number, number: number, block: Buffer): Buffer {
    const known = this.#digests.get(number);
    if (known !== undefined) return known;
    const length = readSync(fd, block, 0, block.length, headerBytes + number * block.length);
    const digest = createHash("sha256").update(block.subarray(0, length)).digest();
    this.#digests.set(number, digest);
    return digest;
  }

  async #living(place: string): Promise<ReadonlyMap<number, string>> {
    const units = await this.database.rows<{ unit: bigint; living: string }>(
      `SELECT rowid // ${livingUnit} AS unit, count(*) || ' ' || bit_xor(hash(rowid)) AS living FROM ${place} GROUP BY 1`,
    );
    return new Map(units.map(({ unit, living }) => [Number(unit), living]));
  }
}

/** Where rows may differ, in pieces of at most `rowsMost` row ids; `before` null: anywhere. */
export function changedSpans(before: readonly RowGroup[] | null, now: readonly RowGroup[], rowsMost: number): readonly Span[] {
  const known = new Map((before ?? []).map((group) => [group.first, group]));
  const isAsBefore = ({ first, rows, mark }: RowGroup): boolean => {
    const then = known.get(first);
    return mark !== null && then?.rows === rows && then.mark === mark;
  };
  const changed: { from: number; until: number }[] = [];
  const add = (from: number, until: number): void => {
    const last = changed.at(-1);
    if (last !== undefined && last.until === from && until - last.from <= rowsMost) last.until = until;
    else changed.push({ from, until });
  };
  for (const group of now) {
    if (isAsBefore(group)) continue;
    const end = group.first + group.rows;
    for (let from = group.first; from < end; from += rowsMost) add(from, Math.min(end, from + rowsMost));
  }
  const end = endOf(now);
  // What was behind the present end has gone, and so has everything when nothing was known.
  const isOpen = before === null || endOf(before) > end;
  return isOpen ? [...changed, { from: end, until: null }] : changed;
}

const endOf = (groups: readonly RowGroup[]): number => {
  const last = groups.at(-1);
  return last === undefined ? 0 : last.first + last.rows;
};
