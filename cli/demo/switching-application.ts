/**
 * The demo's application once more, now following its route with the library that is shipped for that: it moves money in SQLite until the route says
 * otherwise, then in PostgreSQL. It measures its own pause: from the last success on one side to the first on the other.
 */
import { Connection } from "../../connectors/postgres/connection.js";
import { parseConnectionUrl } from "../../connectors/postgres/connection-url.js";
import { openRoute } from "../../connectors/postgres/routing/route-client.js";
import { openDatabase } from "../../connectors/sqlite/database.js";
import { systemClock } from "../../core/clock.js";
import { customersCount, repeatableRandom } from "./shop-database.js";

/** To the demo, after each success. */
export interface WrittenMessage {
  readonly transaction: number;
  readonly side: "source" | "target";
  readonly wallMs: number;
}
interface Transfer {
  readonly n: number;
  readonly giver: number;
  readonly taker: number;
  readonly cents: number;
}

const everyMs = 4;
const [file, pipeline, firstText] = process.argv.slice(2);
const url = process.env["TAILRACE_DEMO_URL"];
if (file !== undefined && pipeline !== undefined && url !== undefined) await main(file, pipeline, Number(firstText), url);

async function main(path: string, name: string, first: number, target: string): Promise<void> {
  const stop = new AbortController();
  process.on("SIGTERM", () => stop.abort());
  process.on("disconnect", () => stop.abort());
  process.on("message", () => stop.abort());
  const random = repeatableRandom(first);
  const database = openDatabase(path, { readonly: false });
  await using route = await openRoute({ url: target, pipeline: name, sourceIsFenced: true });
  await using connection = await Connection.open(parseConnectionUrl(target), { applicationName: "demo shop", pipelined: false });
  const atSource = database.transaction(({ n, giver, taker, cents }: Transfer) => {
    database.prepare("UPDATE customers SET balance = balance - ? WHERE id = ?").run(cents, giver);
    database.prepare("UPDATE customers SET balance = balance + ? WHERE id = ?").run(cents, taker);
    database.prepare("INSERT INTO transfers VALUES (?, ?, ?, ?)").run(n, giver, taker, cents);
  });
  try {
    for (let n = first; !stop.signal.aborted; n++) {
      const transfer = { n, giver: 1 + random(customersCount), taker: 1 + random(customersCount), cents: 1 + random(500) };
      const side = await route.write(async (where) => {
        if (where === "source") atSource.immediate(transfer);
        else await atTarget(connection, transfer);
        return where;
      }, stop.signal);
      process.send?.({ transaction: n, side, wallMs: performance.timeOrigin + performance.now() } satisfies WrittenMessage);
      await systemClock.delay(everyMs, stop.signal).catch(() => {});
    }
  } catch (thrown) {
    if (!stop.signal.aborted) throw thrown;
  } finally {
    database.close();
    if (process.connected) process.disconnect();
  }
}

async function atTarget(connection: Connection, { n, giver, taker, cents }: Transfer): Promise<void> {
  await connection.query("BEGIN");
  const say = (text: string, values: readonly number[]): Promise<unknown> => connection.query({ text, values });
  await say("UPDATE customers SET balance = balance - $1 WHERE id = $2", [cents, giver]);
  await say("UPDATE customers SET balance = balance + $1 WHERE id = $2", [cents, taker]);
  await say("INSERT INTO transfers VALUES ($1, $2, $3, $4)", [n, giver, taker, cents]);
  await connection.query("COMMIT");
}
