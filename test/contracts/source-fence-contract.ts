/** What every SourceFence must do, whatever the source is. The host is an application that writes to one captured table, and knows nothing of us. */
import { describe, expect, it } from "vitest";
import type { SourceFence } from "../../core/contracts/cutover.js";
import type { Awaitable } from "../../core/contracts/source.js";
import type { ErrorCode } from "../../core/errors.js";
import type { Position } from "../../core/vocabulary/position.js";
import { markerId, theGroup } from "../../core/vocabulary/ids.js";
import { until } from "../support/oracles/until.js";

export interface FenceHost extends AsyncDisposable {
  open(): SourceFence;
  /** One write as the application does it: null when it was accepted, else what the application is told. */
  write(): Awaitable<string | null>;
  /** Right behind the newest change that the application made. */
  isBehind(at: Position): Awaitable<boolean>;
  /** Begins a transaction that holds the source; the answer ends it. */
  occupy(): Awaitable<() => Awaitable<void>>;
  /** What the fence says of a source that stays occupied. */
  readonly occupied: ErrorCode;
}

const first = markerId("first");
const second = markerId("second");
const never = new AbortController().signal;
const limits = { waitMs: 20_000, leaseMs: 60_000 };

export function sourceFenceContract(name: string, make: () => Promise<FenceHost>): void {
  describe(`a source's fence: ${name}`, () => {
    it("refuses writes from the position it answers, and accepts them again after release", async () => {
      await using host = await make();
      using fence = host.open();
      expect(await host.write()).toBeNull();
      const { at } = await fence.fence(theGroup, first, limits, never);
      expect(await host.isBehind(at)).toBe(true);
      expect(await host.write()).toMatch(/fenced off/);
      expect(await fence.state(theGroup)).toMatchObject({ kind: "leased", marker: first, at });
      await fence.release(theGroup, first);
      expect(await fence.state(theGroup)).toEqual({ kind: "open" });
      expect(await host.write()).toBeNull();
    });

    it("answers the same position however often one marker asks", async () => {
      await using host = await make();
      using fence = host.open();
      const { at } = await fence.fence(theGroup, first, limits, never);
      expect((await fence.fence(theGroup, first, limits, never)).at).toEqual(at);
      expect((await fence.renew(theGroup, first, 60_000)).at).toEqual(at);
      expect((await fence.keep(theGroup, first)).at).toEqual(at);
      expect((await fence.keep(theGroup, first)).at).toEqual(at);
    });

    it("belongs to one marker: another can neither take, keep, renew nor release it", async () => {
      await using host = await make();
      using fence = host.open();
      await fence.fence(theGroup, first, limits, never);
      await expect(fence.fence(theGroup, second, limits, never)).rejects.toMatchObject({ code: "cutover.fence-taken" });
      await expect(fence.keep(theGroup, second)).rejects.toMatchObject({ code: "cutover.fence-lost" });
      await expect(fence.renew(theGroup, second, 1_000)).rejects.toMatchObject({ code: "cutover.fence-lost" });
      await fence.release(theGroup, second);
      expect(await host.write()).toMatch(/fenced off/);
    });

    it("ends by itself when its lease is over, and can then not be kept", async () => {
      await using host = await make();
      using fence = host.open();
      // Short only once it stands: a lease may be over before a slow machine has put the fence up, and then that fails.
      await fence.fence(theGroup, first, limits, never);
      await fence.renew(theGroup, first, 1_000);
      await until(
        async () => (await host.write()) === null,
        30_000,
        () => "the lease does not end",
      );
      await expect(fence.keep(theGroup, first)).rejects.toMatchObject({ code: "cutover.fence-lost" });
      await expect(fence.renew(theGroup, first, 1_000)).rejects.toMatchObject({ code: "cutover.fence-lost" });
      await until(
        async () => (await fence.state(theGroup)).kind === "open",
        30_000,
        () => "the fence is not open",
      );
      const { at } = await fence.fence(theGroup, second, limits, never);
      expect(await host.isBehind(at)).toBe(true);
    });

    it("stays for whoever comes next once it is kept", async () => {
      await using host = await make();
      {
        using fence = host.open();
        await fence.fence(theGroup, first, limits, never);
        await fence.keep(theGroup, first);
      }
      using other = host.open();
      expect(await other.state(theGroup)).toMatchObject({ kind: "kept", marker: first });
      expect(await host.write()).toMatch(/fenced off/);
      await other.release(theGroup, first);
      expect(await host.write()).toBeNull();
    });

    it("waits for a running transaction as long as it is told, then changes nothing", async () => {
      await using host = await make();
      using fence = host.open();
      const end = await host.occupy();
      await expect(fence.fence(theGroup, first, { waitMs: 60, leaseMs: 1_000 }, never)).rejects.toMatchObject({ code: host.occupied });
      const waiting = fence.fence(theGroup, first, { waitMs: 20_000, leaseMs: 60_000 }, never);
      await end();
      const { at } = await waiting;
      expect(await host.isBehind(at)).toBe(true);
    });
  });
}
