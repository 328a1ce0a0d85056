/** Which runs make the proof that is believed. */
import { expect, test } from "vitest";
import type { RunNumber, RunRecord, VerificationStore } from "../../../core/contracts/verification.js";
import { tableId } from "../../../core/vocabulary/ids.js";
import { position } from "../../../core/vocabulary/position.js";
import { newestProof } from "../../../services/verify/proof.js";

const tables = [tableId("t")];
const result = { table: tableId("t"), rows: 1, chunks: 1, equalChunks: 1, missing: 0, extra: 0, changed: 0, unsettled: 0, ms: 1 };

interface Said {
  readonly run: number;
  readonly state: RunRecord["state"];
  readonly from: number;
  readonly to: number;
}
const record = ({ run, state, from, to }: Said): RunRecord => ({
  run: run as RunNumber,
  kind: "continuous",
  state,
  whole: true,
  since: position(1, from),
  proven: position(1, to),
  startedMs: 0,
  endedMs: null,
  error: null,
  tables: [{ ...result, state: "done" }],
});

async function proven(...said: readonly Said[]): Promise<readonly [run: number, order: number] | null> {
  const runs = said.map(record).toSorted((a, b) => b.run - a.run);
  const store: Pick<VerificationStore, "runs"> = { runs: () => Promise.resolve(runs) };
  const proof = await newestProof({ store: store as VerificationStore, tables }, new AbortController().signal);
  return proof === null ? null : [proof.run, proof.proven.order];
}

test("a run that is being made carries the proof on, and is none by itself", async () => {
  expect(await proven({ run: 1, state: "running", from: 0, to: 9 })).toBeNull();
  expect(await proven({ run: 1, state: "done", from: 0, to: 5 }, { run: 2, state: "running", from: 5, to: 9 })).toEqual([1, 9]);
  expect(await proven({ run: 1, state: "done", from: 0, to: 5 }, { run: 2, state: "running", from: 6, to: 9 })).toEqual([1, 5]);
});

test("the service's run carries on the proof of one that was asked for later", async () => {
  const following: Said = { run: 1, state: "done", from: 0, to: 20 };
  expect(await proven(following, { run: 2, state: "done", from: 5, to: 9 })).toEqual([2, 20]);
});

test("runs carry on one another, in whatever order they were begun", async () => {
  const all: readonly Said[] = [
    { run: 1, state: "stopped", from: 8, to: 30 },
    { run: 2, state: "running", from: 4, to: 8 },
    { run: 3, state: "done", from: 0, to: 5 },
  ];
  expect(await proven(...all)).toEqual([3, 30]);
});
