/** The record of what was told: complete, or refused. */
import { appendFileSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ToldIndex, type ToldRange } from "../../../connectors/duckdb/told-index.js";
import { ToldLog } from "../../../connectors/duckdb/told-log.js";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "tailrace-told-"));
  index = new ToldIndex(directory);
});
afterEach(() => rmSync(directory, { recursive: true }));

function opened(history = 1): ToldLog {
  const log = new ToldLog(directory);
  log.begin(history);
  return log;
}

/** One change an order, from `after` + 1 on; the batch ends one above them. */
function tell(log: ToldLog, after: number, count: number, from = after + 1): number {
  const end = from + count;
  log.batch(after, end);
  log.rows(1, { from, until: end }, JSON.stringify(Array.from({ length: count }, (_, i) => [from + i, "u", ["\t"], ["\t"]])));
  log.end(end);
  return end;
}

let index: ToldIndex;
const orders = (range: Partial<ToldRange>): readonly string[] =>
  index
    .between({ history: 1, after: 0, upTo: 0, ...range })
    .map((line) => `${line.from}-${line.until} ${JSON.parse(index.json(line)).length}`);

test("what lies between two orders is answered, page by page, and nothing of other batches", () => {
  using log = opened();
  const first = tell(log, 0, 3);
  const second = tell(log, first, 2);
  tell(log, second, 4);
  expect(orders({ upTo: first })).toEqual(["1-4 3"]);
  expect(orders({ after: first, upTo: second })).toEqual(["5-7 2"]);
  expect(orders({ after: 2, upTo: 6 })).toEqual(["1-4 3", "5-7 2"]);
  expect(orders({ after: 5, upTo: 5 })).toEqual([]);
});

test("a range that nobody has told, that was lost or belongs to another history is refused", () => {
  using log = opened();
  const first = tell(log, 0, 3);
  expect(() => orders({ upTo: first + 1 })).toThrow(/on record up to 4/);
  // As after a power failure: what came after `first` is gone, and the next batch begins far above.
  tell(log, first + 10, 2);
  expect(() => orders({ upTo: first + 12 })).toThrow(/Nothing is on record between 4 and 14/);
  expect(() => orders({ history: 2, upTo: 1 })).toThrow(/forgotten/);
  log.begin(2);
  expect(readdirSync(directory)).toEqual([]);
});

test("a line that a crash has torn is not read, and what was told again counts", () => {
  {
    using log = opened();
    tell(log, 0, 3);
    log.batch(4, 9);
  }
  const [name = ""] = readdirSync(directory);
  appendFileSync(join(directory, name), 'rows\t1\t5\t9\t[[5,"u",["to');
  expect(() => orders({ upTo: 6 })).toThrow(/on record up to 4/);
  using again = opened();
  // Orders that were given out before the crash are not given out again.
  expect(tell(again, 4, 2, 1_005)).toBe(1_007);
  expect(orders({ after: 4, upTo: 1_007 })).toEqual(["1005-1007 2"]);
  expect(orders({ upTo: 1_007 })).toEqual(["1-4 3", "1005-1007 2"]);
});

test("a table that was told as a whole makes the range that holds it unknown, and no other", () => {
  using log = opened();
  const first = tell(log, 0, 3);
  log.batch(first, 7);
  log.whole(1, 6);
  log.end(7);
  const last = tell(log, 7, 1);
  expect(orders({ upTo: first })).toEqual(["1-4 3"]);
  expect(() => orders({ upTo: 7 })).toThrow(/as a whole/);
  expect(orders({ after: 7, upTo: last })).toEqual(["8-9 1"]);
});

test("files are forgotten once nothing above the order is in them", () => {
  const end = { order: 0 };
  for (let n = 0; n < 4; n++) {
    // Each process begins a file.
    using log = opened();
    end.order = tell(log, end.order, 3);
  }
  using log = opened();
  log.prune(8);
  expect(() => orders({ after: 4, upTo: 8 })).toThrow(/forgotten/);
  expect(orders({ after: 8, upTo: 16 })).toEqual(["9-12 3", "13-16 3"]);
  expect(readdirSync(directory)).toHaveLength(2);
});
