import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openEmbeddedLog } from "../../connectors/embedded-log/embedded-log.js";
import { schemasTopic } from "../../core/topics.js";
import { candidates, embeddedRegistry } from "../../schemas/registry/embedded.js";
import { fates, MemoryLog } from "../support/memory-log-store.js";
import { never } from "./support.js";

const topic = schemasTopic("shop");
const text = (name: string): string => JSON.stringify({ type: "record", name, fields: [] });

function arrange() {
  const log = new MemoryLog();
  log.create({ topic, partitions: 1, cleanup: "compact" });
  const open = () => embeddedRegistry({ store: log.store(), prefix: "shop" });
  const write = (id: number, schema: string) => {
    const value = Buffer.from(JSON.stringify({ id, subject: "s", schema }));
    log.write({ topic, partition: 0, records: [{ topic, partition: 0, key: null, value, headers: [] }] });
  };
  return { log, open, write, registry: open() };
}

describe("the topic of schemas", () => {
  it("holds one record for a text, whoever registers it and however often", async () => {
    const { log, open, registry } = arrange();
    const id = await registry.idFor("a-value", text("A"), never);
    expect(await open().idFor("b-value", text("A"), never)).toBe(id);
    expect(await registry.idFor("b-value", text("A"), never)).toBe(id);
    expect(log.records(topic).length).toBe(1);
    expect(id).toBe(candidates(text("A"))[0]);
    expect(String(log.records(topic)[0]?.key)).toMatch(new RegExp(`^${id}:[0-9a-f]{64}$`));
  });

  it("is followed by readers that were there before", async () => {
    const { open, registry } = arrange();
    const reader = open();
    await expect(reader.schemaById(5, never)).rejects.toMatchObject({ code: "registry.unknown-schema" });
    for (const name of ["A", "B", "C"]) {
      const id = await registry.idFor("a-value", text(name), never);
      expect(await reader.schemaById(id, never)).toBe(text(name));
    }
  });

  it("gives one number to two writers who race", async () => {
    const { open } = arrange();
    const ids = await Promise.all(Array.from({ length: 8 }, () => open().idFor("a-value", text("A"), never)));
    expect(new Set(ids).size).toBe(1);
  });

  it("leaves a number to the text that had it first", async () => {
    const { log, open, registry } = arrange();
    const [first, second] = collidingTexts();
    log.onAppend = () => {
      // Between the look and the append of the one, the append of the other.
      log.onAppend = () => fates.stored;
      const value = Buffer.from(JSON.stringify({ id: first.id, subject: "s", schema: first.text }));
      log.write({ topic, partition: 0, records: [{ topic, partition: 0, key: null, value, headers: [] }] });
      return fates.stored;
    };
    const id = await registry.idFor("b-value", second.text, never);
    expect(id).toBe(candidates(second.text)[1]);
    const reader = open();
    expect(await reader.schemaById(first.id, never)).toBe(first.text);
    expect(await reader.schemaById(id, never)).toBe(second.text);
  });

  it("is repaired after it has lost its tail, under the same numbers", async () => {
    const { log, open, registry } = arrange();
    const ids = [await registry.idFor("a-value", text("A"), never), await registry.idFor("b-value", text("B"), never)];
    log.loseTail(topic, 1);
    await registry.recheck(never);
    expect([await registry.idFor("a-value", text("A"), never), await registry.idFor("b-value", text("B"), never)]).toEqual(ids);
    expect(log.records(topic).length).toBe(2);
    expect(await open().schemaById(ids[1] ?? 0, never)).toBe(text("B"));
  });

  it("is read again by a reader whose place was cut off and has grown over", async () => {
    const { log, open, registry } = arrange();
    for (const name of ["A", "B", "C"]) await registry.idFor("a-value", text(name), never);
    const reader = open();
    await reader.schemaById(candidates(text("C"))[0] ?? 0, never);
    log.loseTail(topic, 1);
    const ids: number[] = [];
    for (const name of ["D", "E", "F"]) ids.push(await open().idFor("a-value", text(name), never));
    expect(await Promise.all(ids.map((id) => reader.schemaById(id, never)))).toEqual(["D", "E", "F"].map(text));
  });

  it("keeps nothing of an append that failed", async () => {
    const { log, registry } = arrange();
    log.onAppend = () => fates.lost;
    await expect(registry.idFor("a-value", text("A"), never)).rejects.toMatchObject({ code: "log.append-failed" });
    log.onAppend = () => fates.stored;
    const id = await registry.idFor("a-value", text("A"), never);
    expect(await registry.schemaById(id, never)).toBe(text("A"));
  });

  it.each([
    ["not JSON", "nonsense"],
    ["without a text", '{"id":1,"subject":"s"}'],
    ["with a number that is not its text's", JSON.stringify({ id: 7, subject: "s", schema: text("A") })],
  ])("passes over a record %s, which can stand for no schema of ours", async (_, value) => {
    const { log, registry } = arrange();
    log.write({ topic, partition: 0, records: [{ topic, partition: 0, key: null, value: Buffer.from(value), headers: [] }] });
    await expect(registry.schemaById(7, never)).rejects.toMatchObject({ code: "registry.unknown-schema" });
    const id = await registry.idFor("a-value", text("A"), never);
    expect(await registry.schemaById(id, never)).toBe(text("A"));
  });

  it("says so when it is not there", async () => {
    const registry = embeddedRegistry({ store: new MemoryLog().store(), prefix: "shop" });
    await expect(registry.idFor("a-value", text("A"), never)).rejects.toMatchObject({ code: "log.topic-missing" });
  });
});

describe("the topic of schemas in a real log file", () => {
  it("serves a writer and a reader with clients of their own", async () => {
    const directory = mkdtempSync(join(tmpdir(), "tailrace-schemas-"));
    try {
      const path = join(directory, "log.db");
      await using written = await openEmbeddedLog({ path });
      await using read = await openEmbeddedLog({ path });
      await written.ensure([{ topic, partitions: 1, cleanup: "compact" }], never);
      const [writer, reader] = [written, read].map((store) => embeddedRegistry({ store, prefix: "shop" }));
      for (const name of ["A", "B", "A", "C"]) {
        const id = (await writer?.idFor(`${name}-value`, text(name), never)) ?? 0;
        expect(await reader?.schemaById(id, never)).toBe(text(name));
      }
      await writer?.recheck(never);
      expect((await written.bounds([topic], never)).get(topic)).toEqual([{ first: 0, end: 3 }]);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

/** Two texts whose first 31 bits agree; found once by search. */
function collidingTexts(): readonly [{ readonly id: number; readonly text: string }, { readonly text: string }] {
  const seen = new Map<number, string>();
  for (let n = 0; n < 1_000_000; n++) {
    const made = `"long${n}"`;
    const id = candidates(made)[0] ?? 0;
    const other = seen.get(id);
    if (other !== undefined) return [{ id, text: other }, { text: made }];
    seen.set(id, made);
  }
  throw new Error("no two texts meet");
}
