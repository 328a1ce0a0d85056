/** What every Target must do with constraints, owners and operators' wishes: the second half of the target contract. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Target } from "../../core/contracts/target.js";
import { rereadId, tableId, theGroup } from "../../core/vocabulary/ids.js";
import { position } from "../../core/vocabulary/position.js";
import { changesOf, chunkOf, created, deleted, rekeyed, updated } from "../support/synthetic-window.js";
import {
  childPlan,
  childRow,
  childTable,
  contractPlan,
  never,
  nothingStale,
  Owner,
  parentPlan,
  parentRow,
  parentTable,
  type TargetContext,
  type TargetTraits,
} from "./target-fixtures.js";

const n = BigInt;

export function targetConstraintsContract(name: string, makeContext: () => Promise<TargetContext>, traits: TargetTraits): void {
  describe(`target contract, constraints and owners: ${name}`, () => {
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

    it("builds what waits for the end of the snapshot, once, and refuses what it does not let in", async () => {
      await using owner = await prepared();
      expect(owner.session.unfinished()).toBe(traits.builds);
      expect(await owner.session.finish(never)).toEqual([]);
      expect(owner.session.unfinished()).toBe(false);
      expect(await owner.session.finish(never)).toEqual([]);
      const doubled = owner.apply(
        changesOf(parentTable, created(1, [n(1)], parentRow(1))),
        changesOf(childTable, created(2, [n(1)], childRow(1, 1, "same")), created(3, [n(2)], childRow(2, 1, "same"))),
      );
      await expect(doubled).rejects.toMatchObject({
        code: "target.constraint",
        where: { constraint: traits.constraints.unique, table: "child" },
      });
      const orphan = owner.apply(changesOf(childTable, created(4, [n(3)], childRow(3, 77))));
      await expect(orphan).rejects.toMatchObject({ code: "target.constraint", where: { constraint: traits.constraints.foreignKey } });
      expect(await target.applied(theGroup, never)).toBeNull();
    });

    // The keys of a file are the application's: where there is nothing to build, these are skipped.
    it.runIf(traits.builds)("reports a foreign key that the rows break, and applies without it", async () => {
      await using owner = await prepared();
      await owner.apply(changesOf(childTable, created(1, [n(1)], childRow(1, 77))));
      const leftOut = await owner.session.finish(never);
      expect(leftOut).toHaveLength(1);
      expect(leftOut[0]?.object).toContain("child_parent_fkey");
      expect(owner.session.unfinished()).toBe(false);
      await owner.apply(changesOf(childTable, created(2, [n(2)], childRow(2, 78))));
      expect(await context.rows(childPlan)).toHaveLength(2);
      await owner[Symbol.asyncDispose]();
      await using next = await Owner.of(target);
      expect(next.session.unfinished()).toBe(false);
      expect(await next.session.finish(never)).toEqual(leftOut);
    });

    it("keeps constraints on while rows swap unique values, parents leave before children, and children come before parents", async () => {
      await using owner = await prepared();
      await owner.session.finish(never);
      await owner.apply(
        changesOf(childTable, created(1, [n(1)], childRow(1, 1, "x")), created(2, [n(2)], childRow(2, 1, "y"))),
        changesOf(parentTable, created(3, [n(1)], parentRow(1))),
      );
      await owner.apply(
        changesOf(
          childTable,
          updated(4, [n(1)], childRow(1, 1, "tmp")),
          updated(5, [n(2)], childRow(2, 1, "x")),
          updated(6, [n(1)], childRow(1, 1, "y")),
        ),
      );
      expect(await context.rows(childPlan)).toEqual([
        ["1", "1", "y"],
        ["2", "1", "x"],
      ]);
      await owner.apply(changesOf(parentTable, deleted(7, [n(1)])), changesOf(childTable, deleted(8, [n(1)]), deleted(9, [n(2)])));
      expect(await context.rows(parentPlan)).toEqual([]);
      await owner.apply(
        changesOf(parentTable, created(10, [n(5)], parentRow(5)), rekeyed(11, [n(5)], [n(6)], parentRow(6))),
        changesOf(childTable, created(12, [n(1)], childRow(1, 6, "x")), rekeyed(13, [n(1)], [n(3)], childRow(3, 6, "x"))),
      );
      expect(await context.rows(childPlan)).toEqual([["3", "6", "x"]]);
    });

    // Skipped for files: their constraints cannot be taken off.
    it.runIf(traits.builds)("takes constraints off for a repair, in both directions, and builds them again after it", async () => {
      await using owner = await prepared();
      await owner.session.finish(never);
      await owner.apply(
        changesOf(parentTable, created(1, [n(1)], parentRow(1))),
        changesOf(childTable, created(2, [n(1)], childRow(1, 1, "stale"))),
      );
      const repair = (table: string, step: "begins" | "ends", order: number) =>
        ({ kind: "repair", step, table: tableId(table), reread: rereadId("r"), at: position(0, order) }) as const;
      // The parent that the child refers to goes first, and the value that row 1 holds comes to row 2 before row 1 is repaired.
      await owner.session.apply(
        owner.window({
          controls: [repair("parent", "begins", 3), repair("child", "begins", 3)],
          parts: [
            chunkOf(parentTable, { after: null, upTo: null, at: position(0, 3, 1), rows: [parentRow(2)] }),
            chunkOf(childTable, { after: [n(1)], upTo: null, at: position(0, 3, 2), rows: [childRow(2, 2, "stale")] }),
          ],
        }),
        never,
      );
      expect(owner.session.unfinished()).toBe(false);
      await owner.session.apply(
        owner.window({
          controls: [repair("parent", "ends", 4), repair("child", "ends", 4)],
          parts: [chunkOf(childTable, { after: null, upTo: [n(1)], at: position(0, 4, 1), rows: [childRow(1, 2, "right")] })],
        }),
        never,
      );
      expect(owner.session.unfinished()).toBe(true);
      expect(await owner.session.finish(never)).toEqual([]);
      const orphan = owner.apply(changesOf(childTable, created(9, [n(3)], childRow(3, 1))));
      await expect(orphan).rejects.toMatchObject({ code: "target.constraint", where: { constraint: "child_parent_fkey" } });
    });

    it("refuses a second owner while the first beats, and fences the first when it was replaced", async () => {
      const first = await prepared();
      await expect(Owner.of(target)).rejects.toMatchObject({ code: "target.standing-by" });
      await first.apply(changesOf(parentTable, created(1, [n(1)], parentRow(1))));
      await first[Symbol.asyncDispose]();
      await using second = await Owner.of(target);
      expect(second.session.epoch).toBeGreaterThan(first.session.epoch);
      expect(second.session.applied).toEqual(first.session.applied);
    });

    it("survives a pause and a restart of the pause's asker", async () => {
      await using owner = await prepared();
      await target.setPaused(theGroup, true, never);
      await owner.apply();
      await using again = await context.connect();
      expect(await again.paused(theGroup, never)).toBe(true);
      await again.setPaused(theGroup, false, never);
      expect(await target.paused(theGroup, never)).toBe(false);
    });

    it("is destroyed without a trace, twice", async () => {
      await (await prepared())[Symbol.asyncDispose]();
      expect((await target.destroy({ tables: true }, never)).length).toBeGreaterThanOrEqual(traits.traces);
      expect(await target.destroy({ tables: true }, never)).toEqual([]);
      expect(await target.plan(never)).toBeNull();
      await target.prepare(contractPlan, nothingStale, never);
    });
  });
}
