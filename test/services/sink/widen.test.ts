/** The applier over windows that the target refuses: what the log already mends goes on, what it does not stops. */
import { describe, expect, it } from "vitest";
import { systemClock } from "../../../core/clock.js";
import type { AppliedCut, LogReader, Window, WindowPart } from "../../../core/contracts/log.js";
import type { TargetSession } from "../../../core/contracts/target.js";
import { TailraceError } from "../../../core/errors.js";
import { logId, markerId, ownerEpoch, theGroup } from "../../../core/vocabulary/ids.js";
import { type Position, position } from "../../../core/vocabulary/position.js";
import { keyOf } from "../../../core/vocabulary/table.js";
import type { Key } from "../../../core/vocabulary/value.js";
import { applier } from "../../../services/sink/applier.js";
import {
  changesOf,
  chunkOf,
  created,
  deleted,
  describeTable,
  rekeyed,
  testLog,
  updated,
  windowOf,
} from "../../support/synthetic-window.js";

const table = describeTable("t", { id: "integer", v: "text" }, ["id"]);
const live = (...changes: Parameters<typeof changesOf>[1][]): WindowPart => changesOf(table, ...changes);
const rows = (from: bigint, to: bigint, bad?: bigint) =>
  Array.from({ length: Number(to - from) + 1 }, (_, i) => [from + BigInt(i), from + BigInt(i) === bad ? "bad" : "good"] as const);

const chunk = (order: number, copied: ReturnType<typeof rows>, upTo: Key | null = null): WindowPart =>
  chunkOf(table, { after: null, upTo, at: position(0, order, 1), rows: copied });

/** Refuses every row it is given whose value is `bad`, as a target does: with nothing changed. */
class PickySession implements TargetSession {
  readonly epoch = ownerEpoch(1);
  readonly follows = false;
  applied: AppliedCut | null = null;
  readonly windows: { readonly to: Position; readonly rows: number; readonly markers: readonly string[] }[] = [];
  readonly refused: Position[] = [];

  assertOwned(): void {}
  async stage(): Promise<void> {}
  async apply(window: Window, signal: AbortSignal): ReturnType<TargetSession["apply"]> {
    const state = new Map<bigint, string>();
    for await (const part of window.inSourceOrder(signal)) {
      if (part.kind === "chunk") for (const row of part.chunk.rows) state.set(keyOf(table, row)[0] as bigint, row[1] as string);
      else
        for (const change of part.changes) {
          if (change.kind === "rekey") state.delete(change.from[0] as bigint);
          if (change.kind === "delete") state.delete(change.key[0] as bigint);
          else state.set(change.key[0] as bigint, change.after[1] as string);
        }
      // A chunk's rows are mapped one by one: what a later part says does not help them.
      if (part.kind === "chunk" && part.chunk.rows.some((row) => row[1] === "bad")) return this.#refuse(window);
    }
    if ([...state.values()].includes("bad")) return this.#refuse(window);
    const markers = window.controls.flatMap((control) => (control.kind === "marker" ? [control.marker] : []));
    this.windows.push({ to: window.after().position, rows: state.size, markers });
    this.applied = window.after();
    return new Map();
  }
  #refuse(window: Window): never {
    this.refused.push(window.after().position);
    throw new TailraceError("value.type", { what: "a bad value" });
  }
  finish = () => Promise.resolve([]);
  unfinished = (): boolean => false;
  [Symbol.asyncDispose] = (): Promise<void> => Promise.resolve();
}

interface Given {
  readonly parts: readonly WindowPart[];
  readonly marker?: string;
}

/** Every window is in the log at once; after the last one the log ends. */
async function run(...given: readonly Given[]): Promise<{ readonly session: PickySession; readonly error: unknown }> {
  const session = new PickySession();
  let released = 0;
  const windows: Window[] = [];
  let before: AppliedCut | null = null;
  for (const [i, { parts, marker }] of given.entries()) {
    const controls = marker === undefined ? [] : [{ kind: "marker", marker: markerId(marker), at: position(0, i) } as const];
    const window: Window = windowOf({ before, parts, controls, onPart: () => expect(i).toBeGreaterThanOrEqual(released) });
    windows.push(window);
    before = window.after();
  }
  const reader: LogReader = {
    identity: () => Promise.resolve(logId(testLog)),
    async *windows() {
      for (const window of windows) {
        yield window;
        // As a reader does: parts of a window may not be read once the next one was asked for.
        released += 1;
      }
    },
    state: () => ({ kind: "idle" }),
    newest: () => before?.position ?? null,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  const publisher = { publish: () => {}, [Symbol.asyncDispose]: () => Promise.resolve() };
  const options = {
    reader,
    session,
    group: theGroup,
    publisher,
    clock: systemClock,
    isPaused: () => false,
    onOpen: () => {},
    onApplied: () => {},
    onFinish: () => {},
  };
  const error: unknown = await applier(options, new AbortController().signal).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  return { session, error };
}

describe("a window that the target refuses", () => {
  it("is applied as one with those behind it, over markers, once they have mended it", async () => {
    const { session, error } = await run(
      { parts: [live(created(1, [1n], [1n, "good"]))] },
      { parts: [live(created(2, [2n], [2n, "bad"]))] },
      { parts: [live(created(3, [3n], [3n, "good"]))], marker: "m" },
      { parts: [live(updated(4, [2n], [2n, "good"]))] },
      { parts: [live(created(5, [5n], [5n, "good"]))] },
    );
    expect(error).toBeNull();
    expect(session.windows).toEqual([
      { to: position(0, 1), rows: 1, markers: [] },
      { to: position(0, 5), rows: 3, markers: ["m"] },
    ]);
  });

  it("stops when nothing behind it helps, and when nothing is behind it", async () => {
    for (const more of [[], [{ parts: [live(created(3, [3n], [3n, "good"]))] }]]) {
      const { session, error } = await run({ parts: [live(created(2, [2n], [2n, "bad"]))] }, ...more);
      expect(error).toMatchObject({ code: "value.type" });
      expect(session.windows).toEqual([]);
    }
  });

  it.each([
    ["an update", live(updated(9, [4n], [4n, "good"])), 6],
    ["a delete", live(deleted(9, [4n])), 5],
    ["another key", live(rekeyed(9, [4n], [14n], [14n, "good"])), 6],
    ["a later chunk", chunk(9, rows(1n, 6n)), 6],
  ])("of rows that were copied is mended by %s", async (_, mended, left) => {
    const { session, error } = await run({ parts: [chunk(1, rows(1n, 6n, 4n))] }, { parts: [mended] });
    expect(error).toBeNull();
    expect(session.windows).toMatchObject([{ rows: left }]);
  });

  it("of live changes is mended by a later chunk that covers their keys", async () => {
    const { session, error } = await run(
      { parts: [live(created(2, [2n], [2n, "bad"]), created(3, [30n], [30n, "good"]))] },
      { parts: [chunk(4, rows(1n, 2n), [2n])] },
    );
    expect(error).toBeNull();
    expect(session.windows).toMatchObject([{ rows: 3 }]);
  });

  it("is not collected beyond what may be held", async () => {
    const many = Array.from({ length: 50_001 }, (_, i) => created(i + 2, [BigInt(i + 10)], [BigInt(i + 10), "good"]));
    const { error } = await run(
      { parts: [live(created(1, [1n], [1n, "bad"]), ...many)] },
      { parts: [live(updated(60_000, [1n], [1n, "good"]))] },
    );
    expect(error).toMatchObject({ code: "value.type" });
  });
});
