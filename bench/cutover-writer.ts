/**
 * The application of the cutover bench, a process of its own that follows its route through the shipped library: so many one-row transactions a second,
 * evenly spread, on whichever side may be written. Told `mark`, it begins to look for its longest wait; asked `report`, it says it.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { openRoute } from "../connectors/postgres/routing/route-client.js";
import { openApplication, order, updateSql } from "./orders.js";
import { connect } from "./place.js";

export interface PauseSeen {
  /** From the last success before the longest wait to the first after it. */
  readonly pauseMs: number;
  readonly side: "source" | "target";
  readonly commits: number;
}

const [path, pipeline, rateText = "", rowsText = ""] = process.argv.slice(2);
const url = process.env["BENCH_URL"];
if (path !== undefined && pipeline !== undefined && url !== undefined) await main(path, pipeline, url);

async function main(file: string, name: string, target: string): Promise<void> {
  const [rate, rows] = [Number(rateText), Number(rowsText)];
  const database = openApplication(file);
  const update = database.prepare(updateSql);
  const client = await connect(target);
  await using route = await openRoute({ url: target, pipeline: name, sourceIsFenced: true });
  let seen: PauseSeen = { pauseMs: 0, side: "source", commits: 0 };
  let stopping = false;
  process.on("message", (said) => {
    if (said === "mark") seen = { ...seen, pauseMs: 0, commits: 0 };
    else if (said === "report") process.send?.(seen);
    else stopping = true;
  });
  let lastMs = performance.now();
  const began = performance.now();
  let done = 0;
  // What was due while writes waited is not made up for: an application's users do not come twice.
  let skipped = 0;
  const write = async (n: number): Promise<void> => {
    const [id, customer, , qty, price, status, at, note] = order(1 + (n % rows), 1 + Math.floor(n / rows));
    const side = await route.write(async (where) => {
      if (where === "source") update.run(BigInt(customer), BigInt(qty), price, status, BigInt(at), note, BigInt(id));
      else
        await client.query({
          name: "update",
          text: "UPDATE public.orders SET customer_id = $1, qty = $2, price = $3, status = $4, updated_at = $5, note = $6 WHERE id = $7",
          values: [customer, qty, price, status, at, note, id],
        });
      return where;
    });
    const nowMs = performance.now();
    seen = { pauseMs: Math.max(seen.pauseMs, nowMs - lastMs), side, commits: seen.commits + 1 };
    lastMs = nowMs;
  };
  process.send?.("ready");
  while (!stopping) {
    const due = Math.floor(((performance.now() - began) * rate) / 1000) - skipped;
    if (due - done > rate / 10) skipped += due - done - 1;
    else while (done < due && !stopping) await write(done++);
    await sleep(1);
  }
  database.close();
  await client.end();
  process.disconnect();
}
