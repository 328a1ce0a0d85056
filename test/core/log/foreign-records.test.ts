/** Records that are not ours, in a table's topic: nothing behind them is applied, and a start of the source leaves them behind. */
import { describe, expect, it } from "vitest";
import { position } from "../../../core/vocabulary/position.js";
import { topic } from "../../../core/vocabulary/ids.js";
import { append, LogContext, prefix } from "./log-context.js";

const at = (order: number) => position(0, order);
const rowsTopic = topic(`${prefix}.a`);

async function context(): Promise<LogContext> {
  const log = new LogContext();
  await log.ensure();
  return log;
}

function foreign(log: LogContext): void {
  const record = { topic: rowsTopic, partition: 0, key: null, value: Buffer.from("theirs"), headers: [] };
  log.log.write({ topic: rowsTopic, partition: 0, records: [record] });
}

describe("a record that is not ours", () => {
  it("stops a reader in front of it, with everything before it applied, while no start lies behind it", async () => {
    const log = await context();
    await using session = await log.session();
    await append(session, { to: at(1), rows: [["a", at(1)]] });
    foreign(log);
    await expect(log.apply(at(2))).rejects.toMatchObject({ code: "log.garbage" });
    expect(log.applied?.position).toEqual(at(1));
  });

  it("is left behind by the source's next start, which it does not keep from starting", async () => {
    const log = await context();
    const first = await log.session();
    await append(first, { to: at(1), rows: [["a", at(1)]] });
    foreign(log);
    // The answer tells the writer that somebody else has written; the rows are stored all the same, behind the foreign record.
    await expect(append(first, { to: at(2), rows: [["a", at(2)]] })).rejects.toMatchObject({ code: "log.append-failed" });
    await using second = await log.session();
    expect(second.beginning.resume?.position).toEqual(at(1));
    await append(second, {
      to: at(3),
      rows: [
        ["a", at(2)],
        ["a", at(3)],
      ],
    });
    const seen = await log.apply(at(3));
    expect(seen.flatMap(({ rows }) => rows)).toEqual(["a@0:1:0", "a@0:2:0", "a@0:3:0"]);
  });

  it("that the target has passed does not make what is behind it doubtful", async () => {
    const log = await context();
    const first = await log.session();
    await append(first, { to: at(1), rows: [["a", at(1)]] });
    foreign(log);
    await using second = await log.session();
    await append(second, { to: at(2), rows: [["a", at(2)]] });
    await log.apply(at(2));
    await append(second, { to: at(3), rows: [["a", at(3)]] });
    await using third = await log.session();
    expect(third.beginning.resume?.position).toEqual(at(3));
  });
});
