import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { openEmbeddedLog } from "../../../connectors/embedded-log/embedded-log.js";
import type { Header, OutgoingRecord } from "../../../core/contracts/log-store.js";
import { offset } from "../../../core/vocabulary/ids.js";
import { patience, randomTopic, scanAll, spec } from "../../contracts/log-store-host.js";

const directory = mkdtempSync(join(tmpdir(), "tailrace-pages-"));
afterAll(() => rmSync(directory, { recursive: true }));

const bytes = (most: number) => fc.uint8Array({ minLength: 0, maxLength: most });
const aRecord = fc.record({
  key: fc.option(bytes(20)),
  value: fc.option(
    fc.oneof({ weight: 9, arbitrary: bytes(300) }, { weight: 1, arbitrary: fc.constant(new Uint8Array(400_000).fill(0xff)) }),
  ),
  headers: fc.oneof(
    { weight: 30, arbitrary: fc.constant<readonly Header[]>([]) },
    { weight: 1, arbitrary: bytes(9).map((value): readonly Header[] => [["name", value]]) },
  ),
});

describe("pages of the embedded log", () => {
  it("give back every byte of every record, with and without key, value and headers, and across gaps of compaction", async () => {
    await using store = await openEmbeddedLog({ path: join(directory, "log.db") });
    const property = fc.asyncProperty(fc.array(aRecord, { minLength: 1, maxLength: 40 }), fc.boolean(), async (made, compacted) => {
      const topic = randomTopic();
      await store.ensure([spec(topic, compacted ? { cleanup: "compact" } : {})], patience());
      await using appender = await store.appender(patience());
      const records = made.map((each): OutgoingRecord => ({ topic, partition: 0, ...each }));
      await appender.append(records, patience());
      const last = new Map(records.map(({ key }, i) => [key === null ? `no key ${i}` : Buffer.from(key).toString("hex"), i]));
      const kept = compacted ? [...last.values()].toSorted((a, b) => a - b) : records.map((_, i) => i);
      const read = await scanAll(store, topic);
      const plain = ({ key, value, headers }: OutgoingRecord) => ({
        key: key === null ? null : Buffer.from(key).toString("hex"),
        value: value === null ? null : Buffer.from(value).toString("hex"),
        headers: headers.map(([name, of]) => [name, Buffer.from(of).toString("hex")]),
      });
      expect(read.map((record) => record.offset)).toEqual(kept);
      expect(read.map(plain)).toEqual(kept.map((i) => plain(records[i]!)));
      // A range may begin and end in the middle of a batch.
      for (const from of [0, records.length >> 1, records.length - 1]) {
        const range = { from: offset(from), until: offset(from + (records.length >> 1)) };
        const some: number[] = [];
        for await (const page of store.scan(topic, 0, range, patience())) some.push(...page.map((record) => record.offset));
        expect(some).toEqual(kept.filter((i) => i >= range.from && i < range.until));
      }
      await store.destroy([topic], patience());
    });
    await fc.assert(property, { numRuns: 60 });
  });
});
