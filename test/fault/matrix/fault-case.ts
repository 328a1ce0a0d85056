/**
 * The fault matrix as data: each row is one sentence about what goes wrong and one about what Tailrace does, with the codes that it may say. The
 * suites run the rows, docs/faults.md prints them.
 */
import { afterAll, afterEach, describe, expect, it } from "vitest";
import type { ErrorCode } from "../../../core/errors.js";
import type { Ground } from "./ground.js";

export interface FaultGround extends AsyncDisposable {
  readonly ground: Ground;
}
export interface FaultCase<G extends FaultGround = FaultGround> {
  /** What goes wrong. */
  readonly fault: string;
  /** What Tailrace does. */
  readonly does: string;
  /** What may be said, besides what passes in this area, and nothing else. */
  readonly codes: readonly ErrorCode[];
  /** Not even what passes in this area is said. */
  readonly strict?: true;
  /** Rare or long: only with TAILRACE_TEST_LONG=1. */
  readonly long?: true;
  /** Must be root: mounts a small file system. */
  readonly root?: true;
  /** The past is replaced or nobody can look: no glances from outside. */
  readonly unwatched?: true;
  /** Strikes, heals, and waits for what is promised. Afterwards both sides are to be equal, unless the case says that it ends stopped. */
  readonly run: (on: G) => Promise<void>;
  /** Ends stopped: the ground is given up, and nothing more is asked. */
  readonly ends?: "stopped";
}
export interface FaultArea<G extends FaultGround = FaultGround> {
  readonly title: string;
  /** Of the suite. */
  readonly test: string;
  /** What sessions say that end with what they depend on, and are begun again. */
  readonly passing?: readonly ErrorCode[];
  readonly cases: readonly FaultCase<G>[];
  readonly make: () => Promise<G>;
}

const longAsked = process.env["TAILRACE_TEST_LONG"] === "1";
const isRoot = process.getuid?.() === 0;

/** `missing`: why nothing of this area can run here. */
export function runFaults<G extends FaultGround>(area: FaultArea<G>, missing: string | null = null): void {
  let shared: G | null = null;
  const giveUp = async (): Promise<void> => {
    const last = shared;
    shared = null;
    await last?.[Symbol.asyncDispose]();
  };
  describe(`${area.title}${missing === null ? "" : ` (${missing})`}`, () => {
    afterEach(async ({ task }) => {
      // What a failed case leaves behind says nothing about the next one.
      if (task.result?.state === "fail") await giveUp();
    });
    afterAll(giveUp);
    for (const one of area.cases) {
      const why = whySkipped(one) ?? missing;
      it.skipIf(why !== null)(
        `${one.fault}: ${one.does}${why === null ? "" : ` (${why})`}`,
        { timeout: one.long === true ? 900_000 : 300_000 },
        async () => {
          shared ??= await area.make();
          await carryOut(one, area.passing ?? [], shared);
          if (one.ends === "stopped") await giveUp();
        },
      );
    }
  });
}

async function carryOut<G extends FaultGround>(one: FaultCase<G>, passing: readonly ErrorCode[], on: G): Promise<void> {
  const { ground } = on;
  ground.begin({ watched: one.unwatched !== true });
  await one.run(on);
  if (one.ends !== "stopped") {
    await ground.caughtUp();
    expect(await ground.judge()).toEqual([]);
  }
  const known = [...one.codes, ...(one.strict === true ? [] : passing), ...ground.excused()];
  expect([...ground.heard()].filter((code) => !known.includes(code))).toEqual([]);
}

function whySkipped({ long, root }: FaultCase<never>): string | null {
  if (long === true && !longAsked) return "TAILRACE_TEST_LONG=1";
  return root === true && !isRoot ? "needs root" : null;
}
