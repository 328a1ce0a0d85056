import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { containerLimit } from "../../cli/doctor/duckdb-room.js";

let root = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "tailrace-cgroup-"));
});
afterEach(() => rmSync(root, { recursive: true }));

function limit(path: string, text: string): void {
  const file = join(root, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

test("the least limit on the way to the root counts, in either version of memory groups", () => {
  limit("memory.max", "max\n");
  limit("shop/memory.max", "2147483648\n");
  limit("shop/tailrace/memory.max", "max\n");
  expect(containerLimit("0::/shop/tailrace\n", root)).toBe(2 ** 31);
  limit("memory/memory.limit_in_bytes", "9223372036854771712\n");
  limit("memory/tight/memory.limit_in_bytes", "1073741824\n");
  expect(containerLimit("12:cpu,cpuacct:/\n7:memory:/tight\n0::/\n", root)).toBe(2 ** 30);
});

test("inside a container, whose own files stand at the root, the host's path says nothing", () => {
  limit("memory.max", "536870912\n");
  expect(containerLimit("0::/kubepods/pod1/abc\n", root)).toBe(2 ** 29);
});

test("a system that has none of it has no limit", () => {
  expect(containerLimit("", root)).toBe(Number.POSITIVE_INFINITY);
  expect(containerLimit("0::/\n", join(root, "nowhere"))).toBe(Number.POSITIVE_INFINITY);
});
