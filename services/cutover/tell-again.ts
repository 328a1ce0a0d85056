/**
 * What a gap in the way back has left, made good: every range of keys is compared by digests, and each row that differs is told again as PostgreSQL has it,
 * or has it not. Legal while applications write there: a row that is told once too often is told as it is. Whether nothing differs any more, this does
 * not say; a verification does, and so does the check behind a rollback's fence.
 */
import type { Leading, RowReader } from "../../core/contracts/row-reader.js";
import type { KeyScope } from "../../core/contracts/change.js";
import { sameDigest } from "../../core/mapping/row-hash.js";
import type { TableId } from "../../core/vocabulary/ids.js";
import type { Key } from "../../core/vocabulary/value.js";

export interface TellAgain {
  /** Parents before children. */
  readonly tables: readonly TableId[];
  /** The file, which has everything that had been carried back. */
  readonly file: RowReader;
  readonly leading: Pick<Leading, "rows" | "touch">;
}
export interface ToldTable {
  readonly table: TableId;
  readonly rows: number;
  readonly told: number;
}

const rowsPerScope = 8_192;
/** A range of the file may have grown between its two reads. */
const rowsMax = 10 * rowsPerScope;
/** Told in one transaction, whatever their tables: so no constraint of the file minds their order. */
const rowsAtOnce = 20_000;

export async function tellAgain({ tables, file, leading }: TellAgain, signal: AbortSignal): Promise<readonly ToldTable[]> {
  const pages = new Pages(leading);
  const done: ToldTable[] = [];
  for (const table of tables) {
    let [rows, told] = [0, 0];
    for await (const scope of file.scopes(table, { rowsPerScope }, signal)) {
      const [here, there] = await Promise.all([file.digest(table, scope, signal), leading.rows.digest(table, scope, signal)]);
      rows += there.value.rows;
      if (sameDigest(here.value, there.value)) continue;
      // PostgreSQL may hold any number of rows where the file holds few.
      for await (const part of leading.rows.scopes(table, { rowsPerScope, within: scope }, signal)) {
        const keys = await differing({ file, leading }, { table, scope: part }, signal);
        told += keys.length;
        await pages.add(table, keys, signal);
      }
    }
    done.push({ table, rows, told });
  }
  await pages.flush(signal);
  return done;
}

async function differing(
  { file, leading }: Pick<TellAgain, "file" | "leading">,
  { table, scope }: { readonly table: TableId; readonly scope: KeyScope },
  signal: AbortSignal,
): Promise<readonly Key[]> {
  const [here, there] = await Promise.all([
    file.digests(table, scope, rowsMax, signal),
    leading.rows.digests(table, scope, rowsMax, signal),
  ]);
  const inFile = new Map(here.value.map((row) => [row.id, row]));
  const keys: Key[] = [];
  for (const { id, digest, key } of there.value) {
    if (inFile.get(id)?.digest !== digest) keys.push(key);
    inFile.delete(id);
  }
  return [...keys, ...[...inFile.values()].map(({ key }) => key)];
}

class Pages {
  #page = new Map<TableId, Key[]>();
  #rows = 0;

  constructor(private readonly leading: Pick<Leading, "touch">) {}

  async add(table: TableId, keys: readonly Key[], signal: AbortSignal): Promise<void> {
    for (const key of keys) {
      const page = this.#page.get(table);
      if (page === undefined) this.#page.set(table, [key]);
      else page.push(key);
      if (++this.#rows >= rowsAtOnce) await this.flush(signal);
    }
  }

  async flush(signal: AbortSignal): Promise<void> {
    if (this.#rows > 0)
      await this.leading.touch(
        [...this.#page].map(([table, keys]) => ({ table, keys })),
        signal,
      );
    this.#page = new Map();
    this.#rows = 0;
  }
}
