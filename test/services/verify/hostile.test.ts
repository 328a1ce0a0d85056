/**
 * O10, second half: no false alarm while a hostile application writes as fast as it can, and a real difference is found all the same.
 *
 * TAILRACE_FAULT_SEED repeats a run; `TAILRACE_VERIFY_SWEEPS=500 npx vitest run test/services/verify/hostile.test.ts` makes it long,
 * `TAILRACE_VERIFY_RATE` (transactions a second) more hostile.
 */
import { randomInt } from "node:crypto";
import { expect, test } from "vitest";
import type { TableSettings } from "../../../core/settings.js";
import { HostileApplication, setUpHostileDatabase } from "../../support/hostile-application.js";
import { SourceFile } from "../../support/sqlite.js";
import { TwoSides } from "../../support/two-sides.js";
import { VerifyContext } from "./context.js";

const seed = Number(process.env["TAILRACE_FAULT_SEED"] ?? randomInt(1, 1_000_000));
const sweeps = Number(process.env["TAILRACE_VERIFY_SWEEPS"] ?? 10);
const rate = Number(process.env["TAILRACE_VERIFY_RATE"] ?? 100);

const one = (name: string, type: string, from: "epoch-ms" | null = null): TableSettings => ({
  to: null,
  key: null,
  columns: new Map([[name, { kind: "map", to: null, type, from }]]),
});
const settings = new Map([
  ["document", one("nul_text", "bytea")],
  ["line", one("placed", "timestamptz", "epoch-ms")],
]);

test(`${sweeps} sweeps under a hostile application raise no false alarm (seed ${seed})`, {
  timeout: 120_000 + sweeps * 5_000,
}, async () => {
  const file = new SourceFile();
  setUpHostileDatabase(file.path, { seed, triggers: true, rows: 2_000 });
  await file.install();
  await using it = await VerifyContext.over(await TwoSides.over(file, settings));
  await it.two.sync();
  await using application = new HostileApplication(file.path);
  // As fast as replication in one process can follow, the verifier included: a target that falls ever further behind proves nothing.
  await application.start({ seed, triggers: true, big: 500, rate });
  it.two.run();
  let changes = 0;
  // However fast they are: without changes that come meanwhile they prove nothing.
  for (let i = 0; i < sweeps || changes <= sweeps * 20; i++) {
    const before = file.newestSeq();
    const { tables } = await it.verify({ rowsPerScope: 200 });
    expect(await it.said()).toEqual([]);
    expect(tables.filter(({ missing, extra, changed, unsettled }) => missing + extra + changed + unsettled > 0)).toEqual([]);
    changes += file.newestSeq() - before;
  }
  // Money that nobody touched is not missing; money that somebody moved at the target is.
  await it.two.database.query("UPDATE tx_ledger SET kind = kind || '?' WHERE id = 0");
  await it.verify({ rowsPerScope: 200 });
  expect(await it.said()).toEqual(["tx_ledger i0: changed kind"]);
  await application.stop();
});
