/** `npm run fault -- --minutes N --seed K [--faults N] [--log embedded|kafka]`: fault runs with rising seeds until the time is over. */
import { describe, expect, it } from "vitest";
import { startKafka } from "../support/kafka.js";
import { faultRun } from "./harness/run.js";

const minutes = Number(process.env["TAILRACE_FAULT_MINUTES"] ?? 0);
const seed = Number(process.env["TAILRACE_FAULT_SEED"] ?? 1);
const faults = Number(process.env["TAILRACE_FAULT_COUNT"] ?? 30);
const logs = (process.env["TAILRACE_FAULT_LOG"] ?? "embedded,kafka").split(",");

describe("kills for as long as asked", () => {
  // Skipped unless `npm run fault` asks for it: it takes as long as it is told.
  it.skipIf(minutes === 0)("find nothing", { timeout: (minutes + 20) * 60_000 }, async () => {
    const end = performance.now() + minutes * 60_000;
    for (let n = 0; performance.now() < end; n++) {
      const broker = logs[n % logs.length] === "kafka" ? await startKafka() : null;
      try {
        expect(await faultRun({ seed: seed + n, faults, broker })).toEqual([]);
      } finally {
        await broker?.stop();
      }
    }
  });
});
