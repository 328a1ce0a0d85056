/** What may be forgotten of a capture log, and when somebody must hear of it. */
import { describe, expect, it } from "vitest";
import { alarmOf, captureLogStatus, forgetBelow, hasForgotten, oldAfterMs, type Retention } from "../../../core/capture/retention.js";
import type { CaptureLogUse } from "../../../core/contracts/source.js";
import { position } from "../../../core/vocabulary/position.js";

const MiB = 1 << 20;
const use = (more: Partial<CaptureLogUse> = {}): CaptureLogUse => ({
  oldest: 1,
  newest: 1000,
  bytes: 10 * MiB,
  ms: 0,
  freeBytes: 1 << 30,
  ...more,
});
const applied: Retention = { retain: "applied", maxBytes: 0 };
const acknowledged = (maxBytes: number): Retention => ({ retain: "acknowledged", maxBytes });
const at = (order: number, history = 1) => position(history, order);

describe("what may be forgotten", () => {
  it("is what the target has committed, however large the log is", () => {
    expect(forgetBelow(applied, { applied: at(10), acknowledged: at(900) }, use({ bytes: 1e12 }))).toEqual(at(10));
    expect(forgetBelow(applied, { applied: null, acknowledged: at(900) }, use())).toBe(null);
  });

  it("is the same with `acknowledged` while the log is small, and while nobody has measured it", () => {
    expect(forgetBelow(acknowledged(20 * MiB), { applied: at(10), acknowledged: at(900) }, use())).toEqual(at(10));
    expect(forgetBelow(acknowledged(0), { applied: at(10), acknowledged: at(900) }, null)).toEqual(at(10));
  });

  it("is, beyond maxBytes, the oldest of what the log has until the rest fits", () => {
    expect(forgetBelow(acknowledged(5 * MiB), { applied: at(10), acknowledged: at(900) }, use())).toEqual(at(501));
    expect(forgetBelow(acknowledged(5 * MiB), { applied: null, acknowledged: at(900) }, use())).toEqual(at(501));
    expect(forgetBelow(acknowledged(5 * MiB), { applied: at(700), acknowledged: at(900) }, use())).toEqual(at(700));
  });

  it("is never what the log has not acknowledged", () => {
    expect(forgetBelow(acknowledged(0), { applied: at(10), acknowledged: at(300) }, use())).toEqual(at(300));
    expect(forgetBelow(acknowledged(0), { applied: null, acknowledged: null }, use())).toBe(null);
  });

  it("belongs to the history that is being written", () => {
    expect(forgetBelow(acknowledged(0), { applied: at(999, 1), acknowledged: at(3, 2) }, use())).toEqual(at(3, 2));
  });
});

describe("what was forgotten", () => {
  it("matters when the target lacks it, in the same history", () => {
    expect(hasForgotten({ applied: at(10), acknowledged: at(20) }, use({ oldest: 10 }))).toBe(false);
    expect(hasForgotten({ applied: at(10), acknowledged: at(20) }, use({ oldest: 11 }))).toBe(false);
    expect(hasForgotten({ applied: at(10), acknowledged: at(20) }, use({ oldest: 12 }))).toBe(true);
    expect(hasForgotten({ applied: null, acknowledged: at(20) }, use({ oldest: 12 }))).toBe(true);
    expect(hasForgotten({ applied: null, acknowledged: at(20) }, use())).toBe(false);
    expect(hasForgotten({ applied: at(10, 1), acknowledged: at(20, 2) }, use({ oldest: 12 }))).toBe(false);
    expect(hasForgotten({ applied: null, acknowledged: null }, use({ oldest: 12 }))).toBe(false);
  });
});

describe("the alarm", () => {
  it.each([
    ["a small log", use(), 20 * MiB, null],
    ["a log above maxBytes", use(), 9 * MiB, "size"],
    ["old rows", use({ ms: oldAfterMs + 1 }), 20 * MiB, "age"],
    ["a disk with less room than the log takes", use({ freeBytes: 9 * MiB }), 20 * MiB, "disk"],
    ["hardly any room", use({ bytes: 2 * MiB, freeBytes: 60 * MiB }), 20 * MiB, "disk"],
    ["a small log on a full disk: it is not the log's fault", use({ bytes: 1000, freeBytes: 0 }), 20 * MiB, null],
    ["room that nobody can measure", use({ freeBytes: null }), 20 * MiB, null],
    ["all at once: the most urgent", use({ freeBytes: 0, ms: oldAfterMs * 2 }), 0, "disk"],
  ] as const)("for %s", (_, measured, maxBytes, kind) => {
    expect(alarmOf(measured, maxBytes)?.kind ?? null).toBe(kind);
    expect(captureLogStatus(measured, acknowledged(maxBytes), { applied: null, acknowledged: null }).alarm).toBe(kind);
  });
});
