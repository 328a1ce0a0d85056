/**
 * Work at PostgreSQL is counted, not timed: a statement more per window, or per row, fails here, on any machine. What each number was when it was
 * written down stands beside it.
 */
import { Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { connectTarget } from "../../connectors/postgres/connect.js";
import { position } from "../../core/vocabulary/position.js";
import { contractPipeline, never, nothingStale, Owner, planOf, planTable } from "../contracts/target-fixtures.js";
import { type CountingProxy, countingProxy } from "../support/counting-postgres-proxy.js";
import { freshDatabase, type TestDatabase } from "../support/postgres.js";
import { changesOf, chunkOf } from "../support/synthetic-window.js";
import { mixedChanges, orderRow, orders } from "./orders.js";

const rows = 20_000;
const window = 10_000;

describe("what the sink asks of PostgreSQL", () => {
  let database: TestDatabase;
  let proxy: CountingProxy;
  let owner: Owner;
  beforeAll(async () => {
    database = await freshDatabase();
    proxy = await countingProxy(database.url);
    await using target = await connectTarget({ url: proxy.url, pipeline: contractPipeline }, never);
    await target.prepare(planOf(planTable(orders)), nothingStale, never);
    owner = await Owner.of(target);
  });
  afterAll(async () => {
    await owner?.[Symbol.asyncDispose]();
    await proxy?.[Symbol.asyncDispose]();
    await database?.[Symbol.asyncDispose]();
  });

  it("is one COPY for the rows of neighbouring chunks, in large pieces", async () => {
    const chunks = Array.from({ length: rows / 500 }, (_, c) =>
      chunkOf(orders, {
        after: c === 0 ? null : [BigInt(c * 500)],
        upTo: [BigInt((c + 1) * 500)],
        at: position(0, 1, (c + 1) * 500),
        rows: Array.from({ length: 500 }, (__, i) => orderRow(c * 500 + i + 1)),
      }),
    );
    proxy.take();
    await owner.apply(...chunks);
    const { executed, simple, copyMessages, copyBytes } = proxy.take();
    // BEGIN, COPY, COMMIT; fence, probe, counts, cut.
    expect({ executed, simple }).toEqual({ executed: 4, simple: 3 });
    expect(copyBytes / rows).toBeLessThan(130);
    // The server's read buffer is far smaller than a piece: fewer pieces bring nothing, more cost the client.
    expect(copyMessages).toBeLessThanOrEqual(Math.ceil(copyBytes / (256 * 1024)) + 1);
  });

  it("is the same few statements for a window of any size, and nothing is parsed twice", async () => {
    const asked = [];
    for (const [round, size] of [10, window, 10].entries()) {
      proxy.take();
      const counts = await owner.apply(changesOf(orders, ...mixedChanges(size, rows + round * window, 10 + round * window)));
      asked.push(proxy.take());
      expect([...counts.values()].map(({ applied }) => applied)).toEqual([size]);
    }
    // BEGIN and COMMIT; cut, born, changed, deleted, counts.
    for (const { executed, simple } of asked) expect({ executed, simple }).toEqual({ executed: 5, simple: 2 });
    // The COPY's window has had the statement of the counts parsed.
    expect(asked.map(({ parsed }) => parsed)).toEqual([4, 0, 0]);
  });

  it("goes out in one write: each costs a call to the system, and wakes the server", async () => {
    // The runtime puts bare buffers in the place of what `_writev` was called with.
    const [one, many] = [vi.spyOn(Socket.prototype, "_write"), vi.spyOn(Socket.prototype, "_writev")];
    await owner.apply(changesOf(orders, ...mixedChanges(100, rows + 4 * window, 10 + 4 * window)));
    const writes = [
      ...one.mock.calls.map(([chunk], i) => ({ socket: one.mock.contexts[i], text: String(chunk) })),
      ...many.mock.calls.map(([chunks], i) => ({
        socket: many.mock.contexts[i],
        text: chunks.map((each) => String(each.chunk ?? each)).join(""),
      })),
    ];
    vi.restoreAllMocks();
    // Of the sink's own sockets; the proxy's hand on what they are given.
    const ours = writes.filter(({ socket }) => socket instanceof Socket && socket.remotePort === Number(new URL(proxy.url).port));
    const { socket } = ours.find(({ text }) => text.includes("COMMIT")) ?? {};
    expect(ours.filter((write) => write.socket === socket)).toHaveLength(1);
  });

  it("waits for no answer inside a window: BEGIN to COMMIT go out together", async () => {
    proxy.keepAnswersUntil("COMMIT");
    const counts = await owner.apply(changesOf(orders, ...mixedChanges(100, rows + 5 * window, 10 + 5 * window)));
    expect([...counts.values()].map(({ taken }) => taken)).toEqual([100]);
  });
});
