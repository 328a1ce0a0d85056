/**
 * The application of the DuckDB demo: a process of its own that knows nothing of Tailrace, keeps its file open and goes on writing. Each transaction
 * moves pieces between shops, so that their sum never changes, and carries its own number.
 */
import type { Database } from "../../connectors/duckdb/engine/database.js";
import { systemClock } from "../../core/clock.js";
import { repeatableRandom } from "./shop-database.js";
import type { CommitsMessage } from "./shop-application.js";
import { openStock, productsCount, shopsCount } from "./stock-database.js";

const [file, , perSecondText] = process.argv.slice(2);
if (file !== undefined) await main(file, Number(perSecondText));

async function main(path: string, perSecond: number): Promise<void> {
  const stop = new AbortController();
  process.on("SIGTERM", () => stop.abort());
  process.on("disconnect", () => stop.abort());
  process.on("message", () => stop.abort());
  {
    await using database = await openStock(path, `${path}.spill`);
    await write(database, perSecond, stop.signal);
  }
  if (process.connected) process.disconnect();
}

async function write(database: Database, perSecond: number, signal: AbortSignal): Promise<void> {
  const random = repeatableRandom(99);
  const startedMs = performance.now();
  for (let done = 0; !signal.aborted; ) {
    const due = Math.floor(((performance.now() - startedMs) / 1000) * perSecond);
    const commits: [number, number][] = [];
    while (done < due && commits.length < 20 && !signal.aborted) {
      done += 1;
      await database.transaction(() => database.run(transactionOf(done, random)));
      commits.push([done, performance.timeOrigin + performance.now()]);
      if (done % 100 === 0) await database.run("CHECKPOINT");
    }
    if (commits.length > 0) process.send?.({ kind: "commits", commits } satisfies CommitsMessage);
    await systemClock.delay(10, signal).catch(() => {});
  }
}

function transactionOf(n: number, random: (below: number) => number): string {
  const shop = (): string => `S${String(1 + random(shopsCount)).padStart(2, "0")}`;
  const [giver, taker, product, moved] = [shop(), shop(), 1 + random(productsCount), 1 + random(5)];
  const move = `UPDATE stock SET pieces = pieces - ${moved} WHERE shop = '${giver}' AND product = ${product};
    UPDATE stock SET pieces = pieces + ${moved} WHERE shop = '${taker}' AND product = ${product};
    INSERT INTO movements VALUES (${n}, '${giver}', '${taker}', ${product}, ${moved}, now());`;
  const dice = random(100);
  if (dice < 50)
    return `${move} INSERT INTO sales SELECT '${giver}', ${product}, i, TIME '10:00:00', i / 16 FROM range(${1 + random(200)}) AS r(i)`;
  if (dice < 70) return `${move} UPDATE products SET price = price * 1.01, weight = weight / 3 WHERE id % 20 = ${random(20)}`;
  // The class has an index: for the engine this is a delete and an insert.
  if (dice < 85) return `${move} UPDATE products SET class = '${["A", "B", "C"][random(3)] ?? "A"}' WHERE id = ${product}`;
  return `${move} DELETE FROM sales WHERE product = ${product} AND sold < 2`;
}
