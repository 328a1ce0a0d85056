import { expect, it } from "vitest";
import { limitsOf } from "../../cli/cutover/open.js";
import { VerbOptions } from "../../cli/invocation.js";

it("--max-pause says how long a fence waits for a transaction of the application, and how long it outlives a dead tool", () => {
  const of = (maxPause: string) => limitsOf({ options: new VerbOptions({ maxPause }) });
  expect(of("60s")).toEqual({ pauseMs: 60_000, fenceWaitMs: 30_000, leaseMs: 30_000 });
  expect(of("500ms")).toEqual({ pauseMs: 500, fenceWaitMs: 250, leaseMs: 1_000 });
  expect(limitsOf({ options: new VerbOptions({}) })).toEqual({});
});
