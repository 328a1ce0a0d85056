import { expect, it } from "vitest";
import { openSqliteFence } from "../../../connectors/sqlite/fence.js";
import { openSqliteInstaller } from "../../../connectors/sqlite/installer.js";
import type { SourceTable } from "../../../core/contracts/source.js";
import { groupId, markerId, theGroup, writerEpoch } from "../../../core/vocabulary/ids.js";
import { until } from "../../support/oracles/until.js";
import { Follower } from "../../support/follower.js";
import { SourceFile } from "../../support/sqlite.js";

const ddl = `CREATE TABLE a (id INTEGER PRIMARY KEY, v); CREATE TABLE b (id INTEGER PRIMARY KEY, v);
  INSERT INTO a VALUES (1, 'one'); INSERT INTO b VALUES (1, 'one')`;
const second = groupId(2);
const marker = markerId("m");
const never = new AbortController().signal;
const limits = { waitMs: 20_000, leaseMs: 60_000 };

async function install(file: SourceFile, groups: Readonly<Record<string, number>>): Promise<readonly string[]> {
  const tables = file.tables().map(
    (table): SourceTable => ({
      ...table,
      description: { ...table.description, group: groupId(groups[table.description.table] ?? 1) },
    }),
  );
  using installer = openSqliteInstaller({ path: file.path, pipeline: file.pipeline, group: theGroup });
  return await installer.apply(tables, { setWal: false });
}
const openFence = (file: SourceFile) => openSqliteFence({ path: file.path, pipeline: file.pipeline });

it("a fence refuses writes to its group's tables alone, and those of others go on behind it", async () => {
  await using file = await SourceFile.of(ddl, { install: false });
  await install(file, { b: 2 });
  using fence = openFence(file);
  const { at } = await fence.fence(second, marker, limits, never);
  const app = file.application();
  expect(() => app.exec("INSERT INTO b VALUES (2, 'no')")).toThrow(/fenced off/);
  app.exec("INSERT INTO a VALUES (2, 'yes'); UPDATE a SET v = 'too' WHERE id = 1");
  expect((await fence.renew(second, marker, 60_000)).at).toEqual(at);
  expect(await fence.state(theGroup)).toEqual({ kind: "open" });
  expect(await fence.keep(second, marker)).toEqual({ kind: "kept", marker, at });
  await fence.release(second, marker);
  app.exec("INSERT INTO b VALUES (2, 'yes')");
});

it("what proves a leased fence is kept in the log, whatever other groups have applied; a kept one needs it no more", async () => {
  await using file = await SourceFile.of(ddl, { install: false });
  await install(file, { b: 2 });
  const source = await file.open();
  await using follower = new Follower(source);
  await follower.catchUp(0);
  using fence = openFence(file);
  const { at } = await fence.fence(second, marker, limits, never);
  const app = file.application();
  for (let i = 10; i < 20; i++) app.exec(`INSERT INTO a VALUES (${i}, 'on')`);
  await follower.catchUp(file.newestSeq());
  const oldest = (): number => Number(app.prepare("SELECT min(seq) FROM _cdc_log").pluck().get());
  const prune = (): Promise<void> => source.prune({ ...at, order: file.newestSeq() });
  await prune();
  expect(oldest()).toBeLessThanOrEqual(at.order);
  await fence.renew(second, marker, 60_000);
  await fence.keep(second, marker);
  await until(
    async () => {
      await prune();
      return oldest() > at.order;
    },
    20_000,
    () => "nothing is pruned behind a kept fence",
  );
  expect((await fence.keep(second, marker)).at).toEqual(at);
  expect((await fence.fence(second, marker, limits, never)).at).toEqual(at);
});

it("a write past the fence of its own group is seen, one of another group is none", async () => {
  await using file = await SourceFile.of(ddl, { install: false });
  await install(file, { b: 2 });
  using fence = openFence(file);
  await fence.fence(second, marker, limits, never);
  const app = file.application();
  app.exec("UPDATE _cdc_state SET fence_until = NULL WHERE id = 2; INSERT INTO b VALUES (9, 'past')");
  app.exec("UPDATE _cdc_state SET fence_until = julianday('now') + 1 WHERE id = 2");
  await expect(fence.keep(second, marker)).rejects.toMatchObject({ code: "cutover.fence-lost" });
});

it("applying stands aside for the tables of its group alone", async () => {
  await using file = await SourceFile.of(ddl, { install: false });
  await install(file, { b: 2 });
  const app = file.application();
  app.exec("UPDATE _cdc_state SET applying = 1 WHERE id = 2; INSERT INTO a VALUES (5, 'a'); INSERT INTO b VALUES (5, 'b')");
  app.exec("UPDATE _cdc_state SET applying = 0 WHERE id = 2");
  const logged = app.prepare("SELECT c.name FROM _cdc_log l JOIN _cdc_tables c ON c.t = l.t WHERE l.op = 'I'").pluck().all();
  expect(logged).toEqual(["a"]);
});

it("a table that only changes its group is not read again, and its fence is the new group's", async () => {
  await using file = await SourceFile.of(ddl);
  const first = await file.open();
  await using follower = new Follower(first);
  await follower.catchUp(0);
  const said = await install(file, { b: 2 });
  expect(said.join("\n")).toMatch(/INSERT INTO _cdc_state[^;]*VALUES \(2,/);
  expect(file.application().prepare("SELECT count(*) FROM _cdc_log WHERE op = 'S'").pluck().get()).toBe(0);
  file.application().exec("INSERT INTO b VALUES (7, 'still told')");
  await follower.catchUp(file.newestSeq());
  expect(follower.lastParts.some((part) => part.kind === "changes" && part.table.table === "b" && part.table.group === second)).toBe(true);
  expect([...(follower.cuts.at(-1)?.end.phases ?? [])]).toEqual([
    [theGroup, "streaming"],
    [second, "streaming"],
  ]);
  using fence = openFence(file);
  await fence.fence(second, marker, limits, never);
  expect(() => file.application().exec("DELETE FROM b")).toThrow(/fenced off/);
  file.application().exec("DELETE FROM a");
  expect(await install(file, { b: 2 })).toEqual([]);
  expect(first.epochSeen()).toBeLessThanOrEqual(writerEpoch(1));
});

it("a group whose row of state is gone is noticed: its fence would hold nothing back", async () => {
  await using file = await SourceFile.of(ddl, { install: false });
  await install(file, { b: 2 });
  file.application().exec("DELETE FROM _cdc_state WHERE id = 2");
  await expect(file.open()).rejects.toMatchObject({ code: "source.log-damaged", where: { group: 2 } });
});
