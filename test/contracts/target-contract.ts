/**
 * What every Target must do, run for each implementation. Windows are made by hand; what a target holds is read through the context, so that the
 * suite shares no code with what it checks.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Control, Phase } from "../../core/contracts/change.js";
import type { TargetPlan } from "../../core/contracts/plan.js";
import type { Target } from "../../core/contracts/target.js";
import { logId, markerId, rereadId, tableId, theGroup } from "../../core/vocabulary/ids.js";
import { position } from "../../core/vocabulary/position.js";
import { changesOf, chunkOf, created, cutAt, deleted, describeTable, rekeyed, updated, windowOf } from "../support/synthetic-window.js";
import { targetConstraintsContract } from "./target-constraints-contract.js";
import {
  childPlan,
  childRow,
  childTable,
  contractPlan,
  never,
  nothingStale,
  nothing,
  Owner,
  pairPlan,
  pairTable,
  parentPlan,
  parentRow,
  parentTable,
  planOf,
  takeoverMs,
  type TargetContext,
  type TargetTraits,
} from "./target-fixtures.js";

const n = BigInt;

export function targetContract(name: string, makeContext: () => Promise<TargetContext>, traits: TargetTraits): void {
  targetConstraintsContract(name, makeContext, traits);
  describe(`target contract: ${name}`, () => {
    let context: TargetContext;
    let target: Target;
    beforeEach(async () => {
      context = await makeContext();
      target = await context.connect();
    });
    afterEach(async () => {
      await target[Symbol.asyncDispose]();
      await context[Symbol.asyncDispose]();
    });
    const prepared = async (): Promise<Owner> => {
      await target.prepare(contractPlan, nothingStale, never);
      return Owner.of(target);
    };

    it("holds nothing before it is prepared, and then the plan", async () => {
      expect(await target.plan(never)).toBeNull();
      expect(await target.applied(theGroup, never)).toBeNull();
      expect(await target.totals(theGroup, never)).toEqual(new Map());
      expect(await target.paused(theGroup, never)).toBe(false);
      await expect(target.own({ group: theGroup, direction: "forward", takeoverMs }, never)).rejects.toMatchObject({
        code: "plan.missing",
      });
      expect((await target.preview(contractPlan, never)).join("\n")).toContain("CREATE TABLE");
      await target.prepare(contractPlan, nothingStale, never);
      expect(await target.plan(never)).toEqual(contractPlan);
      expect(await target.applied(theGroup, never)).toBeNull();
      expect(await target.preview(contractPlan, never)).toEqual([]);
      await target.prepare(contractPlan, nothingStale, never);
    });

    it("takes tables into the plan later, and keeps the ones that left it", async () => {
      await target.prepare(planOf(parentPlan), nothingStale, never);
      await target.prepare(contractPlan, nothingStale, never);
      await target.prepare(planOf(parentPlan), nothingStale, never);
      expect(await target.plan(never)).toEqual(planOf(parentPlan));
      expect(await context.rows(childPlan)).toEqual([]);
    });

    it("stores rows, cut and counts of a window together", async () => {
      await using owner = await prepared();
      const window = owner.window({
        parts: [
          changesOf(
            parentTable,
            created(1, [n(1)], parentRow(1)),
            updated(2, [n(1)], parentRow(1, "one")),
            created(3, [n(2)], parentRow(2)),
          ),
          changesOf(childTable, created(4, [n(7)], childRow(7, 1))),
        ],
      });
      const counts = await owner.session.apply(window, never);
      expect(await context.rows(parentPlan)).toEqual([
        ["1", "one"],
        ["2", "p2"],
      ]);
      expect(await context.rows(childPlan)).toEqual([["7", "1", "c7"]]);
      expect(await target.applied(theGroup, never)).toEqual(window.after());
      expect(owner.session.applied).toEqual(window.after());
      expect(counts.get(tableId("parent"))).toEqual({ ...nothing, taken: 3, folded: 1, applied: 2 });
      await owner.apply(changesOf(parentTable, deleted(5, [n(2)]), deleted(6, [n(99)])));
      expect(await context.rows(parentPlan)).toEqual([["1", "one"]]);
      expect((await target.totals(theGroup, never)).get(tableId("parent"))).toEqual({ ...nothing, taken: 5, folded: 1, applied: 4 });
    });

    it("applies a window without changes, for its cut", async () => {
      await using owner = await prepared();
      await owner.apply();
      await owner.apply();
      expect((await target.applied(theGroup, never))?.position).toEqual(position(0, 2));
    });

    it("refuses a window that is applied already, and one that does not begin where the target is", async () => {
      await using owner = await prepared();
      const window = owner.window({ parts: [changesOf(parentTable, created(5, [n(1)], parentRow(1)))] });
      await owner.session.apply(window, never);
      await expect(owner.session.apply(window, never)).rejects.toMatchObject({ code: "target.applied-backwards" });
      const elsewhere = windowOf({ before: cutAt(position(0, 9)), parts: [changesOf(parentTable, created(10, [n(3)], parentRow(3)))] });
      await expect(owner.session.apply(elsewhere, never)).rejects.toMatchObject({ code: "target.applied-backwards" });
      const backwards = owner.window({ parts: [], to: position(0, 4) });
      await expect(owner.session.apply(backwards, never)).rejects.toMatchObject({ code: "target.applied-backwards" });
      const below = owner.window({ parts: [changesOf(parentTable, created(5, [n(4)], parentRow(4)))], to: position(0, 6) });
      await expect(owner.session.apply(below, never)).rejects.toMatchObject({ code: "target.applied-backwards" });
      expect(await context.rows(parentPlan)).toEqual([["1", "p1"]]);
    });

    it("applies a staged window as it applies any other, and stages without doing anything", async () => {
      await using owner = await prepared();
      const first = owner.window({ parts: [changesOf(parentTable, created(1, [n(1)], parentRow(1)), created(2, [n(2)], parentRow(2)))] });
      const second = windowOf({
        before: first.after(),
        parts: [
          changesOf(parentTable, updated(3, [n(1)], parentRow(1, "one")), updated(4, [n(1)], parentRow(1, "uno")), deleted(5, [n(2)])),
        ],
      });
      await owner.session.stage(second, never);
      expect(await context.rows(parentPlan)).toEqual([]);
      await owner.session.apply(first, never);
      const counts = await owner.session.apply(second, never);
      expect(await context.rows(parentPlan)).toEqual([["1", "uno"]]);
      expect(counts.get(tableId("parent"))).toEqual({ ...nothing, taken: 3, folded: 1, applied: 2 });
      expect(await target.applied(theGroup, never)).toEqual(second.after());
      // What was done ahead is not done again.
      expect(second.timesRead()).toBe(1);
    });

    it("forgets what was staged when another window comes, and finds out only when it is applied what is wrong with one", async () => {
      await using owner = await prepared();
      const staged = owner.window({ parts: [changesOf(parentTable, created(1, [n(1)], parentRow(1, "staged")))] });
      await owner.session.stage(staged, never);
      await owner.apply(changesOf(parentTable, created(1, [n(1)], parentRow(1, "applied"))));
      expect(await context.rows(parentPlan)).toEqual([["1", "applied"]]);
      const late = owner.window({ parts: [changesOf(parentTable, created(3, [n(3)], parentRow(3)))] });
      await owner.session.stage(late, never);
      await owner.apply(changesOf(parentTable, created(2, [n(2)], parentRow(2))));
      await expect(owner.session.apply(late, never)).rejects.toMatchObject({ code: "target.applied-backwards" });
      expect(await context.rows(parentPlan)).toEqual([
        ["1", "applied"],
        ["2", "p2"],
      ]);
    });

    it("refuses another log", async () => {
      await using owner = await prepared();
      await owner.apply(changesOf(parentTable, created(1, [n(1)], parentRow(1))));
      const other = windowOf({ before: null, log: logId("another"), parts: [changesOf(parentTable, created(2, [n(2)], parentRow(2)))] });
      await expect(owner.session.apply(other, never)).rejects.toMatchObject({ code: "log.identity" });
    });

    it("follows key changes, also when keys change places through a third", async () => {
      await using owner = await prepared();
      await owner.apply(changesOf(parentTable, created(1, [n(1)], parentRow(1, "A")), created(2, [n(2)], parentRow(2, "B"))));
      const counts = await owner.apply(
        changesOf(
          parentTable,
          rekeyed(3, [n(1)], [n(9)], parentRow(9, "A")),
          rekeyed(4, [n(2)], [n(1)], parentRow(1, "B")),
          rekeyed(5, [n(9)], [n(2)], parentRow(2, "A")),
        ),
      );
      expect(await context.rows(parentPlan)).toEqual([
        ["1", "B"],
        ["2", "A"],
      ]);
      expect(counts.get("parent")).toEqual({ ...nothing, taken: 6, folded: 3, applied: 3 });
    });

    // Skipped for files: a constant is the target's own, and a table that was there before has none.
    it.runIf(traits.builds)("keeps an insert-only column of a row that lives, and writes it anew for one that is born again", async () => {
      const origin = {
        source: null,
        target: "origin",
        type: "text",
        nullable: true,
        conversion: { kind: "as-is" },
        written: "insert",
      } as const;
      const plan = (constant: string): TargetPlan => planOf({ ...parentPlan, columns: [...parentPlan.columns, { ...origin, constant }] });
      const [firstPlan] = plan("first").tables;
      await target.prepare(plan("first"), nothingStale, never);
      {
        await using owner = await Owner.of(target);
        await owner.apply(changesOf(parentTable, created(1, [n(1)], parentRow(1)), created(2, [n(2)], parentRow(2))));
      }
      await target.prepare(plan("second"), nothingStale, never);
      await using owner = await Owner.of(target);
      await owner.apply(
        changesOf(parentTable, updated(3, [n(1)], parentRow(1, "new")), deleted(4, [n(2)]), created(5, [n(2)], parentRow(2, "again"))),
      );
      expect(firstPlan === undefined ? [] : await context.rows(firstPlan)).toEqual([
        ["1", "new", "first"],
        ["2", "again", "second"],
      ]);
    });

    it("replaces a chunk's range: rows it lacks are gone, rows outside stay", async () => {
      await using owner = await prepared();
      await owner.apply(changesOf(parentTable, ...[1, 2, 3, 4, 5, 6].map((id) => created(id, [n(id)], parentRow(id)))));
      await owner.apply(
        chunkOf(parentTable, { after: [n(1)], upTo: [n(4)], at: position(0, 6, 3), rows: [parentRow(3, "three"), parentRow(4)] }),
        chunkOf(parentTable, { after: [n(4)], upTo: [n(5)], at: position(0, 6, 4), rows: [parentRow(5)] }),
      );
      expect((await context.rows(parentPlan)).map(([id, name]) => `${id}${name}`)).toEqual(["1p1", "3three", "4p4", "5p5", "6p6"]);
      await owner.apply(chunkOf(parentTable, { after: [n(4)], upTo: null, at: position(0, 6, 5), rows: [] }));
      expect((await context.rows(parentPlan)).map(([id]) => id)).toEqual(["1", "3", "4"]);
    });

    it("takes a whole table by chunks, in one window and in several, with live changes between", async () => {
      await using owner = await prepared();
      await owner.apply(
        chunkOf(parentTable, { after: null, upTo: [n(2)], at: position(0, 0, 2), rows: [parentRow(1), parentRow(2)] }),
        chunkOf(parentTable, { after: [n(2)], upTo: [n(4)], at: position(0, 0, 4), rows: [parentRow(3), parentRow(4)] }),
      );
      const counts = await owner.apply(
        changesOf(parentTable, updated(1, [n(1)], parentRow(1, "live")), deleted(2, [n(3)])),
        chunkOf(parentTable, { after: [n(4)], upTo: null, at: position(0, 2, 1), rows: [parentRow(5)] }),
      );
      expect((await context.rows(parentPlan)).map((row) => row.join())).toEqual(["1,live", "2,p2", "4,p4", "5,p5"]);
      expect(counts.get("parent")).toEqual({ ...nothing, taken: 3, applied: 3 });
    });

    it("lets positions decide when chunks of earlier cuts come behind live changes of later ones", async () => {
      await using owner = await prepared();
      await owner.apply(
        changesOf(parentTable, updated(1, [n(1)], parentRow(1, "before")), updated(9, [n(2)], parentRow(2, "after"))),
        chunkOf(parentTable, { after: null, upTo: null, at: position(0, 5, 1), rows: [parentRow(1, "chunk"), parentRow(2, "chunk")] }),
      );
      expect((await context.rows(parentPlan)).map((row) => row.join())).toEqual(["1,chunk", "2,after"]);
    });

    it("compares text keys of a range by bytes, and composite keys column by column", async () => {
      await using owner = await prepared();
      const keys: readonly [string, number][] = [
        ["A", 2],
        ["B", 1],
        ["a", 1],
        ["a", 2],
        ["b", 1],
        ["é", 1],
        ["\u{1f600}", 1],
      ];
      await owner.apply(changesOf(pairTable, ...keys.map(([a, b], i) => created(i + 1, [a, n(b)], [a, n(b), "x"]))));
      // ("B", 1) < (a, 1) ≤ ("a", 1): only by bytes is A outside, and only column by column is ("a", 2).
      await owner.apply(chunkOf(pairTable, { after: ["B", n(1)], upTo: ["a", n(1)], at: position(0, 7, 1), rows: [] }));
      const left = (await context.rows(pairPlan)).map(([a, b]) => `${a}${b}`);
      expect(left.toSorted()).toEqual(["A2", "B1", "a2", "b1", "é1", "\u{1f600}1"].toSorted());
      await owner.apply(chunkOf(pairTable, { after: ["b", n(1)], upTo: ["é", n(1)], at: position(0, 7, 2), rows: [] }));
      expect(await context.rows(pairPlan)).toHaveLength(5);
    });

    it("streams a window that is larger than its memory", async () => {
      await using owner = await prepared();
      const size = 1_000;
      const parts = Array.from({ length: 65 }, (_, part) =>
        changesOf(
          parentTable,
          ...Array.from({ length: size }, (_row, i) =>
            created(part * size + i + 1, [n((part * size + i) % 40_000)], parentRow((part * size + i) % 40_000, `v${part}`)),
          ),
        ),
      );
      const counts = await owner.apply(...parts, changesOf(childTable, created(70_000, [n(1)], childRow(1, 1))));
      const rows = await context.rows(parentPlan);
      expect(rows).toHaveLength(40_000);
      expect(rows[0]).toEqual(["0", "v40"]);
      expect(rows[39_999]).toEqual(["39999", "v39"]);
      const { taken = 0, folded = 0, applied = 0 } = counts.get("parent") ?? {};
      expect({ taken, sum: folded + applied }).toEqual({ taken: 65_000, sum: 65_000 });
    });

    it("leaves nothing of a window whose parts fail half-way", async () => {
      await using owner = await prepared();
      const parts = Array.from({ length: 30 }, (_, part) =>
        changesOf(
          parentTable,
          ...Array.from({ length: 1_000 }, (_row, i) => created(part * 1_000 + i + 1, [n(part * 1_000 + i)], parentRow(part * 1_000 + i))),
        ),
      );
      const failing = owner.window({
        parts,
        onPart: (number) => {
          if (number === 29) throw new Error("voided");
        },
      });
      await expect(owner.session.apply(failing, never)).rejects.toThrow("voided");
      expect(await context.rows(parentPlan)).toEqual([]);
      expect(await target.applied(theGroup, never)).toBeNull();
      await owner.apply(changesOf(parentTable, created(1, [n(1)], parentRow(1))));
      expect(await context.rows(parentPlan)).toEqual([["1", "p1"]]);
    });

    it("leaves nothing of a window that is aborted", async () => {
      await using owner = await prepared();
      const abort = new AbortController();
      const window = owner.window({ parts: [changesOf(parentTable, created(1, [n(1)], parentRow(1)))], onPart: () => abort.abort() });
      await expect(owner.session.apply(window, abort.signal)).rejects.toMatchObject({ name: "AbortError" });
      expect(await context.rows(parentPlan)).toEqual([]);
    });

    it("stops at a value that the mapping refuses, and names table, column, key and position", async () => {
      await using owner = await prepared();
      const bad = owner.apply(changesOf(parentTable, created(1, [n(1)], parentRow(1)), created(2, [n(2)], [n(2), "secret\0value"])));
      await expect(bad).rejects.toMatchObject({
        code: traits.refuses,
        where: { table: "parent", column: "name", key: "2", position: "0:2:0" },
      });
      await expect(bad).rejects.not.toThrow("secret");
      expect(await context.rows(parentPlan)).toEqual([]);
    });

    it("tells the newest marker, and that all is settled once nothing is withheld any more", async () => {
      await using owner = await prepared();
      expect(await target.passed(theGroup, never)).toBeNull();
      const passed = async () => (await target.passed(theGroup, never)) ?? { marker: null, settled: null };
      const apply = (order: number, controls: readonly Control[], phase: Phase = "streaming") =>
        owner.session.apply(owner.window({ parts: [], controls, phase, to: position(0, order) }), never);
      await apply(1, [{ kind: "marker", marker: markerId("m1"), at: position(0, 1) }], "snapshot");
      expect(await passed()).toEqual({ position: position(0, 1), marker: "m1", settled: false });
      const repair = { kind: "repair", table: parentTable.table, reread: rereadId("r") } as const;
      await apply(2, [{ ...repair, step: "begins", at: position(0, 2) }]);
      expect(await passed()).toMatchObject({ marker: "m1", settled: false });
      await apply(3, [
        { ...repair, step: "ends", at: position(0, 3) },
        { kind: "marker", marker: markerId("m2"), at: position(0, 3) },
      ]);
      expect(await passed()).toEqual({ position: position(0, 3), marker: "m2", settled: true });
    });

    it("stops at changes of a table that the plan lacks", async () => {
      await using owner = await prepared();
      const stranger = describeTable("stranger", { id: "integer" }, ["id"]);
      await expect(owner.apply(changesOf(stranger, created(1, [n(1)], [n(1)])))).rejects.toMatchObject({ code: "plan.changed" });
    });
  });
}
