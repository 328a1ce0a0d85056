import { describe, expect, it } from "vitest";
import { type FetchState, partitionsToFetch } from "../../../connectors/kafka/fetch-choice.js";

interface Slot extends FetchState {
  readonly name: string;
  readonly full: boolean;
}
const idle: Omit<Slot, "name"> = {
  leader: 1,
  position: 7,
  end: 7,
  request: null,
  paused: false,
  aboveEnd: false,
  emptyAnswers: 0,
  full: false,
};
const hasMore = { end: 900 };
const names = (...slots: readonly Slot[]): readonly string[] => partitionsToFetch(slots, ({ full }) => full).map(({ name }) => name);

describe("what a tail asks a broker for", () => {
  it("is everything that may be fetched, in one request", () => {
    expect(names({ ...idle, name: "a" }, { ...idle, ...hasMore, name: "b" }, { ...idle, name: "p", paused: true })).toEqual(["a", "b"]);
    expect(names({ ...idle, name: "a" }, { ...idle, name: "b", aboveEnd: true })).toEqual(["a"]);
  });

  it("is nothing while a request is on its way to the same broker: they would wait for each other again and again", () => {
    expect(names({ ...idle, name: "quiet" }, { ...idle, name: "asked", request: {} })).toEqual([]);
    expect(names({ ...idle, ...hasMore, name: "busy" }, { ...idle, name: "asked", request: {} })).toEqual([]);
    expect(names({ ...idle, name: "other broker", leader: 2 }, { ...idle, name: "asked", request: {} })).toEqual(["other broker"]);
  });

  it("is nothing while a partition that has more is full: its next request would wait behind this one", () => {
    const quiet = { ...idle, name: "quiet" };
    expect(names(quiet, { ...idle, ...hasMore, name: "busy", full: true })).toEqual([]);
    expect(names(quiet, { ...idle, ...hasMore, name: "busy elsewhere", full: true, leader: 2 })).toEqual(["quiet"]);
    expect(names(quiet, { ...idle, name: "full and read to its end", full: true })).toEqual(["quiet"]);
  });

  it("does not wait for a partition that nobody reads", () => {
    expect(names({ ...idle, name: "quiet" }, { ...idle, ...hasMore, name: "held", paused: true, full: true })).toEqual(["quiet"]);
  });

  it("goes on with several that have more while one of them is full", () => {
    const busy = { ...idle, ...hasMore };
    expect(names({ ...idle, name: "quiet" }, { ...busy, name: "full", full: true }, { ...busy, name: "free" })).toEqual(["quiet", "free"]);
  });

  it("is one partition alone when its answers are empty and should not be", () => {
    expect(names({ ...idle, name: "a" }, { ...idle, ...hasMore, name: "doubtful", emptyAnswers: 1 })).toEqual(["doubtful"]);
  });
});
