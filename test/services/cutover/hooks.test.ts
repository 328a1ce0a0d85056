import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { RouteHook } from "../../../core/settings.js";
import { pipelineId, theGroup } from "../../../core/vocabulary/ids.js";
import { ConfiguredHooks } from "../../../services/cutover/hooks.js";

const never = new AbortController().signal;
let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "tailrace-hooks-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

const hooksOf = (...hooks: readonly RouteHook[]) =>
  new ConfiguredHooks({ pipeline: pipelineId("shop"), group: theGroup, hooks, directory });
const script = (text: string): RouteHook => {
  writeFileSync(join(directory, "hook.sh"), text);
  return { kind: "command", command: ["sh", "hook.sh", "a word"] };
};

it("runs commands beside the settings, with the route in their environment", async () => {
  const hook = script('echo "$TAILRACE_PIPELINE $TAILRACE_GROUP $TAILRACE_ROUTE $TAILRACE_ROUTE_VERSION $1" >> told');
  await hooksOf(hook, hook).tell({ side: "target", version: 7 }, never);
  expect(readFileSync(join(directory, "told"), "utf8")).toBe("shop 1 target 7 a word\nshop 1 target 7 a word\n");
});

it("says which hook failed, and calls none behind it", async () => {
  const failing: RouteHook = { kind: "command", command: ["sh", "-c", "exit 3"] };
  await expect(hooksOf(failing, script("echo no >> told")).tell({ side: "paused", version: 1 }, never)).rejects.toMatchObject({
    code: "cutover.hook",
    where: { hook: "sh -c exit 3" },
  });
  expect(() => readFileSync(join(directory, "told"))).toThrow();
});

it("posts JSON, and takes only success for an answer", async () => {
  const bodies: string[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (part: Buffer) => {
      body += part.toString();
    });
    request.on("end", () => {
      bodies.push(`${request.method} ${request.url} ${body}`);
      response.writeHead(request.url === "/bad" ? 500 : 204).end();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    await hooksOf({ kind: "http", url: `${base}/good` }).tell({ side: "source", version: 2 }, never);
    expect(bodies).toEqual(['POST /good {"pipeline":"shop","group":1,"side":"source","version":2}']);
    const bad = hooksOf({ kind: "http", url: `${base}/bad` }).tell({ side: "source", version: 2 }, never);
    await expect(bad).rejects.toMatchObject({ code: "cutover.hook", message: expect.stringContaining("500") });
  } finally {
    server.close();
  }
});
