/**
 * The application of the demo: a process of its own that knows nothing of Tailrace and goes on writing, one transaction after the other. Each
 * transaction moves money between customers, so that the sum of all balances never changes, and carries its own number.
 */
import { openDatabase } from "../../connectors/sqlite/database.js";
import { systemClock } from "../../core/clock.js";
import { Shop } from "./shop.js";

/** To the demo: numbers of transactions that have been committed since the last message, each with the wall time at which COMMIT came back. */
export interface CommitsMessage {
  readonly kind: "commits";
  readonly commits: readonly (readonly [transaction: number, wallMs: number])[];
}

const [file, ordersText, perSecondText] = process.argv.slice(2);
if (file !== undefined) await main(file, Number(ordersText), Number(perSecondText));

async function main(path: string, orders: number, perSecond: number): Promise<void> {
  const stop = new AbortController();
  process.on("SIGTERM", () => stop.abort());
  process.on("disconnect", () => stop.abort());
  process.on("message", () => stop.abort());
  const database = openDatabase(path, { readonly: false });
  try {
    await write(new Shop(database, orders), perSecond, stop.signal);
  } finally {
    database.close();
    if (process.connected) process.disconnect();
  }
}

/** Bursts of a tenth of a second, as many transactions as the clock says are due: a busy machine makes it late, never fewer. */
async function write(shop: Shop, perSecond: number, signal: AbortSignal): Promise<void> {
  const startedMs = performance.now();
  let done = 0;
  while (!signal.aborted) {
    const due = Math.floor(((performance.now() - startedMs) / 1000) * perSecond);
    const commits: [number, number][] = [];
    while (done < due && commits.length < 100) {
      done += 1;
      shop.transact(done);
      commits.push([done, performance.timeOrigin + performance.now()]);
    }
    if (commits.length > 0) process.send?.({ kind: "commits", commits } satisfies CommitsMessage);
    await systemClock.delay(4, signal).catch(() => {});
  }
}
