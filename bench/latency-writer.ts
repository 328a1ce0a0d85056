/**
 * The application of the latency bench, a process of its own: so many transactions a second, one inserted row each, evenly spread. Answers with the
 * moment each COMMIT came back, on the machine's monotonic clock, which all processes share.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { bound, insertSql, openApplication, order } from "./orders.js";

export interface Commits {
  readonly firstId: number;
  /** µs of the monotonic clock, by place: the id is firstId + place. */
  readonly atUs: readonly number[];
  readonly cpuUsPerCommit: number;
}

const [path, rateText = "", secondsText = "", firstText = ""] = process.argv.slice(2);
if (path !== undefined) await main(path, { rate: Number(rateText), seconds: Number(secondsText), firstId: Number(firstText) });

async function main(file: string, asked: { readonly rate: number; readonly seconds: number; readonly firstId: number }): Promise<void> {
  const { rate, seconds, firstId } = asked;
  const database = openApplication(file);
  const insert = database.prepare(insertSql);
  const atUs: number[] = [];
  const began = performance.now();
  const cpu = process.cpuUsage();
  // At no rate nothing is written, and the time passes all the same.
  while (atUs.length < rate * seconds || (rate === 0 && performance.now() - began < seconds * 1_000)) {
    const due = Math.min(rate * seconds, Math.floor(((performance.now() - began) * rate) / 1000));
    while (atUs.length < due) {
      insert.run(...bound(order(firstId + atUs.length, 0)));
      atUs.push(Number(process.hrtime.bigint() / 1000n));
    }
    await sleep(1);
  }
  const { user, system } = process.cpuUsage(cpu);
  database.close();
  process.send?.({ firstId, atUs, cpuUsPerCommit: (user + system) / Math.max(1, atUs.length) } satisfies Commits);
}
