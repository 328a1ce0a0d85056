/**
 * What every pair of row readers promises: ranges mean the same rows on both sides whatever the key is made of, digests of equal rows are equal, and
 * each answer is true at exactly the position it is labelled with.
 */
import { describe, expect, test } from "vitest";
import type { KeyScope } from "../../core/contracts/change.js";
import { refusedDigest, type RowReader } from "../../core/contracts/row-reader.js";
import { compareKeys } from "../../core/capture/key-order.js";
import { sameDigest } from "../../core/mapping/row-hash.js";
import { type TableId, tableId } from "../../core/vocabulary/ids.js";
import { comparePositions, type Position } from "../../core/vocabulary/position.js";
import type { Key } from "../../core/vocabulary/value.js";

/** A source with tables that hold equal rows on both sides once `sync` has returned. */
export interface RowReaderPair extends AsyncDisposable {
  readonly source: RowReader;
  readonly target: RowReader;
  /** Tables of every kind of key that the source can have; each with rows. */
  readonly tables: readonly TableId[];
  /** The source's order of keys, where it is not the canonical one. */
  orderOf?(table: TableId): (a: Key, b: Key) => number;
  /** One of them: integer key `id`, column `v`. */
  readonly plain: TableId;
  /** Changes rows of `plain` at the source by SQL that both kinds of database understand. */
  exec(sql: string): Promise<void>;
  /** The target has all that the source has committed. Answers with its position. */
  sync(): Promise<Position>;
  /** Changes a row of `plain` at the target alone. */
  tamper(sql: string): Promise<void>;
}

const never = new AbortController().signal;

export function rowReaderContract(name: string, open: () => Promise<RowReaderPair>): void {
  describe(`row readers: ${name}`, () => {
    test("ranges hold the same rows on both sides, digest for digest", async () => {
      await using pair = await open();
      await pair.sync();
      for (const table of pair.tables) {
        const scopes = await scopesOf(pair.source, table, 7);
        expect(scopes.length, table).toBeGreaterThan(3);
        assertCovering(scopes, pair.orderOf?.(table) ?? compareKeys);
        let rows = 0;
        for (const scope of scopes) {
          const [source, target] = [await pair.source.digest(table, scope, never), await pair.target.digest(table, scope, never)];
          expect({ table, scope, ...target.value }).toEqual({ table, scope, ...source.value });
          rows += source.value.rows;
        }
        const whole: KeyScope = { kind: "range", after: null, upTo: null };
        const all = (await pair.source.digests(table, whole, 100_000, never)).value;
        expect(all.length, table).toBe(rows);
        expect(all.every(({ digest }) => digest !== refusedDigest)).toBe(true);
        const theirs = new Map((await pair.target.digests(table, whole, 100_000, never)).value.map(({ id, digest }) => [id, digest]));
        for (const { id, digest } of all) expect(theirs.get(id)).toBe(digest);
        expect(theirs.size).toBe(all.length);
      }
    });

    test("the target cuts ranges that cover all keys in the source's order", async () => {
      await using pair = await open();
      await pair.sync();
      for (const table of pair.tables) {
        const scopes = await scopesOf(pair.target, table, 7);
        assertCovering(scopes, pair.orderOf?.(table) ?? compareKeys);
        for (const scope of scopes) {
          const [source, target] = [await pair.source.digest(table, scope, never), await pair.target.digest(table, scope, never)];
          expect(sameDigest(source.value, target.value), `${table} ${JSON.stringify(scope, printed)}`).toBe(true);
        }
      }
    });

    test("rows are found by the keys that the other side names", async () => {
      await using pair = await open();
      await pair.sync();
      for (const table of pair.tables) {
        const whole: KeyScope = { kind: "range", after: null, upTo: null };
        for (const [asked, other] of [
          [pair.source, pair.target],
          [pair.target, pair.source],
        ] as const) {
          const named = (await other.digests(table, whole, 100_000, never)).value;
          const found = (
            await asked.rowsByKey(
              table,
              named.map(({ key }) => key),
              never,
            )
          ).value;
          expect(found.map(({ id }) => id).toSorted()).toEqual(named.map(({ id }) => id).toSorted());
        }
      }
    });

    test("an answer holds at the position it is labelled with", async () => {
      await using pair = await open();
      const synced = await pair.sync();
      const whole: KeyScope = { kind: "range", after: null, upTo: null };
      const before = await pair.source.digest(pair.plain, whole, never);
      expect(before.at.order).toBe(synced.order);
      expect(await pair.target.position(never)).toEqual(synced);
      await pair.exec(`UPDATE ${pair.plain} SET v = 'later' WHERE id = 3`);
      const after = await pair.source.digest(pair.plain, whole, never);
      expect(comparePositions(after.at, before.at)).toBe(1);
      expect(sameDigest(after.value, before.value)).toBe(false);
      const behind = await pair.target.digest(pair.plain, whole, never);
      expect(behind.at).toEqual(synced);
      expect(sameDigest(behind.value, before.value)).toBe(true);
      const again = await pair.sync();
      const caughtUp = await pair.target.digest(pair.plain, whole, never);
      expect(caughtUp.at).toEqual(again);
      expect(sameDigest(caughtUp.value, after.value)).toBe(true);
    });

    test("a range with too many rows is refused, never cut short", async () => {
      await using pair = await open();
      await pair.sync();
      const whole: KeyScope = { kind: "range", after: null, upTo: null };
      for (const side of [pair.source, pair.target]) {
        await expect(side.digests(pair.plain, whole, 5, never)).rejects.toMatchObject({ code: "verify.scope-too-large" });
      }
    });

    test("a value that differs changes the digest of its row and of its range", async () => {
      await using pair = await open();
      await pair.sync();
      const whole: KeyScope = { kind: "range", after: null, upTo: null };
      await pair.tamper(`UPDATE ${pair.plain} SET v = v || ' ' WHERE id = 2`);
      const ours = (await pair.source.digests(pair.plain, whole, 1_000, never)).value;
      const theirs = new Map((await pair.target.digests(pair.plain, whole, 1_000, never)).value.map(({ id, digest }) => [id, digest]));
      expect(ours.filter(({ id, digest }) => theirs.get(id) !== digest).map(({ key }) => key)).toEqual([[2n]]);
      expect(
        sameDigest((await pair.source.digest(pair.plain, whole, never)).value, (await pair.target.digest(pair.plain, whole, never)).value),
      ).toBe(false);
    });

    test("a table that the plan does not have is refused by name", async () => {
      await using pair = await open();
      for (const side of [pair.source, pair.target]) {
        await expect(side.digest(tableId("nobody"), { kind: "range", after: null, upTo: null }, never)).rejects.toMatchObject({
          code: "verify.differs-in-kind",
        });
      }
    });
  });
}

async function scopesOf(reader: RowReader, table: TableId, rows: number): Promise<readonly KeyScope[]> {
  const scopes: KeyScope[] = [];
  for await (const scope of reader.scopes(table, { rowsPerScope: rows }, never)) scopes.push(scope);
  return scopes;
}

function assertCovering(scopes: readonly KeyScope[], order: (a: Key, b: Key) => number): void {
  expect(scopes[0]?.after).toBeNull();
  expect(scopes.at(-1)?.upTo).toBeNull();
  for (const [i, scope] of scopes.entries()) {
    if (i > 0) expect(scope.after).toEqual(scopes[i - 1]?.upTo);
    if (scope.after !== null && scope.upTo !== null) expect(order(scope.after, scope.upTo)).toBeLessThan(0);
  }
}

const printed = (_: string, value: unknown): unknown => (typeof value === "bigint" ? `${value}n` : value);
