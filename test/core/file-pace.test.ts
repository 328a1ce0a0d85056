import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { Clock } from "../../core/clock.js";
import { FilePace } from "../../core/file-pace.js";

const never = new AbortController().signal;

/** Time passes in rests alone; one that is `held` ends only by its signal. */
class RestClock implements Clock {
  readonly rests: number[] = [];
  /** Whether something else than the caller's signal may end the last one. */
  canBeCutShort = false;
  held = false;
  #nowMs = 0;

  wallMs = (): number => this.#nowMs;
  monotonicMs = (): number => this.#nowMs;

  delay(ms: number, signal: AbortSignal): Promise<void> {
    this.rests.push(ms);
    this.canBeCutShort = signal !== never;
    if (!this.held) this.#nowMs += ms;
    return new Promise((resolve, reject) => {
      const ended = (): void => reject(new DOMException("aborted", "AbortError"));
      if (signal.aborted) ended();
      else if (this.held) signal.addEventListener("abort", ended, { once: true });
      else resolve();
    });
  }

  /** Rests so often, and says how long the last one was. */
  async longest(pace: FilePace): Promise<number> {
    for (let i = 0; i < 200; i++) await pace.rest(10_000, never);
    return this.rests.at(-1) ?? 0;
  }
}

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tailrace-pace-"));
  path = join(folder, "app.db");
  writeFileSync(path, "");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function begin(): { readonly clock: RestClock; readonly pace: FilePace } {
  const clock = new RestClock();
  return { clock, pace: new FilePace({ path, clock, quickForMs: 50, restMs: 30 }) };
}

/** A rest that nothing but the watcher ends: it is there since an earlier one, and tells of every write behind it. */
async function endedByWriting(clock: RestClock, pace: FilePace, ...files: readonly string[]): Promise<void> {
  clock.held = true;
  const rest = pace.rest(10_000, never);
  for (const file of files) writeFileSync(file, "moved");
  await rest;
  clock.held = false;
}

it("rests longer and longer, and counts on a watcher only since that has fired ahead of something that had moved", async () => {
  const { clock, pace } = begin();
  using _ = pace;
  await pace.rest(10_000, never);
  expect(clock.rests).toEqual([2]);
  expect(await clock.longest(pace)).toBe(30);
  // Others write in the folder as well: it is the second of these that ends the rest.
  await endedByWriting(clock, pace, join(folder, "other.log"), `${path}-wal`);
  pace.moved();
  pace.came();
  await pace.rest(10_000, never);
  expect(clock.rests.at(-1)).toBe(250);
  // Something moved, and the watcher said nothing of it.
  pace.moved();
  expect(await clock.longest(pace)).toBe(30);
});

it("looks again and again for a while behind a watcher that fired before anything was to be seen", async () => {
  const { clock, pace } = begin();
  using _ = pace;
  await clock.longest(pace);
  await endedByWriting(clock, pace, path);
  pace.moved();
  await endedByWriting(clock, pace, path);
  clock.rests.length = 0;
  // None of these: a large transaction has the watcher fire all the time.
  await pace.rest(10_000, never);
  expect(clock.canBeCutShort).toBe(false);
  await clock.longest(pace);
  expect(clock.canBeCutShort).toBe(true);
  expect(clock.rests.slice(0, 23)).toEqual([...Array.from({ length: 21 }, () => 1), 2, 2]);
  expect(clock.rests.at(-1)).toBe(250);
});

it("looks by the clock alone while arrivals are close to each other, and watches again behind them", async () => {
  const { clock, pace } = begin();
  using _ = pace;
  await clock.longest(pace);
  await endedByWriting(clock, pace, path);
  pace.moved();
  for (let i = 0; i < 60; i++) {
    await pace.rest(1, never);
    pace.came();
  }
  clock.rests.length = 0;
  await pace.rest(10_000, never);
  expect(clock.rests).toEqual([2]);
  expect(await clock.longest(pace)).toBe(250);
});

it("rests no longer than it is told", async () => {
  const { clock, pace } = begin();
  using _ = pace;
  await clock.longest(pace);
  await pace.rest(7, never);
  expect(clock.rests.at(-1)).toBe(7);
});

it("ends a rest when it is called, and rejects with the reason of its signal", async () => {
  const { clock, pace } = begin();
  using _ = pace;
  await clock.longest(pace);
  clock.held = true;
  const called = pace.rest(10_000, never);
  pace.call();
  await called;
  const stop = new AbortController();
  const stopped = pace.rest(10_000, stop.signal);
  stop.abort(new Error("enough"));
  await expect(stopped).rejects.toThrow("enough");
});
