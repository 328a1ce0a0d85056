import { execFileSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { timeLimit } from "../../core/time-limit.js";

const never = new AbortController().signal;
const aborted = (signal: AbortSignal): Promise<unknown> =>
  new Promise((resolve) => signal.addEventListener("abort", () => resolve(signal.reason), { once: true }));

test("ends when the time is over, with whoever asked for it, and not after it was disposed", async () => {
  using short = timeLimit(never, 10);
  expect(await aborted(short.signal)).toMatchObject({ name: "TimeoutError" });
  expect(short.isOver).toBe(true);

  const asked = new AbortController();
  using long = timeLimit(asked.signal, 60_000);
  asked.abort("enough");
  expect([long.signal.reason, long.isOver]).toEqual(["enough", false]);
  using late = timeLimit(asked.signal, 60_000);
  expect(late.signal.reason).toBe("enough");

  const over = timeLimit(never, 5);
  over[Symbol.dispose]();
  await sleep(20);
  expect(over.signal.aborted).toBe(false);
});

test("is not lost to the garbage collector", () => {
  // Nothing but the work that waits knows the signal. With AbortSignal.any it waits for ever.
  const script = `
    import { timeLimit } from ${JSON.stringify(new URL("../../dist/core/time-limit.js", import.meta.url).href)};
    const wait = (signal) => new Promise((resolve) => {
      const look = setInterval(() => { gc(); if (signal.aborted) { clearInterval(look); resolve(); } }, 5);
    });
    await wait(timeLimit(new AbortController().signal, 50).signal);
    console.log("over");`;
  const said = execFileSync(process.execPath, ["--expose-gc", "--input-type=module", "-e", script], { timeout: 60_000, encoding: "utf8" });
  expect(said.trim()).toBe("over");
});
