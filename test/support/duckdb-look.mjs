/** Opens copies of the hostile application's file, one after the other, and says what is wrong with each. In its own process: a bad copy may crash it. */
import { DuckDBInstance } from "@duckdb/node-api";

process.on("message", (path) => void look(path));

async function look(path) {
  try {
    const instance = await DuckDBInstance.create(path, { access_mode: "READ_ONLY", threads: "2", memory_limit: "500MB" });
    const connection = await instance.connect();
    const row = async (sql) => (await connection.runAndReadAll(sql)).getRows()[0];
    const done = await row("SELECT (SELECT n FROM done_1), (SELECT n FROM done_2), (SELECT n FROM done_3)");
    const [sum] = await row("SELECT (SELECT sum(balance) FROM account_a) + (SELECT sum(balance) FROM account_b)");
    const bulk = await row("SELECT count(*), coalesce(sum(v), 0) FROM bulk");
    const bulkMeta = await row("SELECT coalesce(sum(n), 0), coalesce(sum(total), 0) FROM bulk_meta");
    const big = await row("SELECT count(*), sum(v) FROM big");
    const bigMeta = await row("SELECT n, total FROM big_meta");
    await row("SELECT sum(hash(bulk)) FROM bulk");
    await row("SELECT sum(hash(big)) FROM big");
    const wrong = [
      ...(sum === 10_000_000n ? [] : [`the sum of all accounts is ${String(sum)}`]),
      ...(bulk.join() === bulkMeta.join() || done[1] === 0n ? [] : [`bulk is ${bulk.join()} and should be ${bulkMeta.join()}`]),
      ...(big.join() === bigMeta.join() ? [] : [`big is ${big.join()} and should be ${bigMeta.join()}`]),
    ];
    connection.closeSync();
    instance.closeSync();
    process.send({ done: done.map(Number), wrong });
  } catch (thrown) {
    process.send({ done: [], wrong: [thrown.message.split("\n")[0]] });
  }
}
