/** Requests that no client of ours sends, as bytes on a socket: each gets a refusal or an answer, soon, and the endpoint goes on. */
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { prometheusMetrics } from "../../cli/http/prometheus-metrics.js";
import { type HttpServer, serveHttp } from "../../cli/http/server.js";
import { cpuMs } from "../support/cpu-time.js";

let server: HttpServer;
beforeAll(async () => {
  const metrics = prometheusMetrics({ service: "source" });
  metrics.counter("tailrace_source_changes_total", "Changes.", ["table"]).add(1, { table: 'a"} 1\nevil{x="\u202e' });
  const status = () => ({ table: "<script>\u2028", secret: undefined });
  server = await serveHttp({ host: "127.0.0.1", port: 0 }, { ready: () => ({ ready: true, why: null }), status, metrics });
});
afterAll(() => server[Symbol.asyncDispose]());

/** Status and all that was said; 0: the connection was closed without a word. */
async function raw(request: string | Buffer): Promise<{ readonly status: number; readonly text: string }> {
  const socket = connect(server.address.port, "127.0.0.1");
  const parts: Buffer[] = [];
  socket.on("error", () => {});
  socket.end(request);
  try {
    for await (const part of socket) parts.push(part as Buffer);
  } catch {
    // Reset: whoever sends too much is not listened to.
  }
  const text = Buffer.concat(parts).toString("utf8");
  return { status: Number(/^HTTP\/1.1 (\d{3})/.exec(text)?.[1] ?? 0), text };
}
const get = (path: string, headers = "Host: localhost"): string => `GET ${path} HTTP/1.1\r\n${headers}\r\nConnection: close\r\n\r\n`;
const host = (name: string): string => get("/status", `Host: ${name}`);

const lines: readonly (readonly [what: string, request: string | Buffer, statuses: readonly number[]])[] = [
  ["a good one", get("/health"), [200]],
  ["a head", get("/health").replace("GET", "HEAD"), [200]],
  ["with a query", get("/status?x=1&x[]=2"), [200]],
  ["a path upwards", get("/../../etc/passwd"), [404]],
  ["the same in disguise", get("/%2e%2e/%2e%2e/etc/passwd"), [404]],
  ["twice in disguise", get("/%252e%252e/etc/passwd"), [404]],
  ["with backslashes", get("/..\\..\\etc\\passwd"), [400, 404]],
  ["two slashes", get("//health"), [404, 421]],
  ["a NUL in the path", get("/health%00.html"), [404]],
  ["half a percent sign", get("/%"), [400, 404]],
  ["a path that is no UTF-8", get("/%ff%fe"), [400, 404]],
  ["a path of 20 KB", get(`/${"a".repeat(20_000)}`), [431, 414, 400]],
  ["a whole URL of another host", get("http://evil.example/status", "Host: evil.example"), [421]],
  ["a whole URL of another host, and ours as Host", get("http://evil.example/status"), [400, 404, 421, 200]],
  ["another host", host("evil.example"), [421]],
  ["ours as a part of another", host("127.0.0.1.evil.example"), [421]],
  ["another one behind an at", host("localhost@evil.example"), [421, 400]],
  ["with a trailing dot", host("localhost."), [421]],
  ["the octal one", host("0177.0.0.1"), [421]],
  ["the decimal one", host("2130706433"), [421]],
  ["nothing", host(""), [421, 400]],
  ["no Host at all", "GET /status HTTP/1.1\r\nConnection: close\r\n\r\n", [400, 421]],
  ["HTTP/1.0 without Host", "GET /status HTTP/1.0\r\n\r\n", [421, 400]],
  ["two Hosts", get("/status", "Host: localhost\r\nHost: evil.example"), [400, 421, 200]],
  ["a Host with a blank", host("local host"), [421, 400]],
  ["a Host of 10,000 letters", host("a".repeat(10_000)), [421]],
  ["a header of 20 KB", get("/status", `Host: localhost\r\nX: ${"a".repeat(20_000)}`), [431]],
  ["five thousand headers", get("/status", `Host: localhost\r\n${"a: b\r\n".repeat(5_000)}X: y`), [200, 431]],
  ["a header that is folded", get("/status", "Host: localhost\r\n X: y"), [400, 421]],
  ["a header with a NUL", get("/status", "Host: localhost\r\nX: a\0b"), [400]],
  ["a body of a gigabyte, announced", get("/status", "Host: localhost\r\nContent-Length: 1073741824"), [413]],
  ["a negative body", get("/status", "Host: localhost\r\nContent-Length: -1"), [400]],
  ["two lengths", get("/status", "Host: localhost\r\nContent-Length: 1\r\nContent-Length: 2"), [400]],
  ["a length and chunks", get("/status", "Host: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked"), [400]],
  ["a chunk that never ends", `${get("/status", "Host: localhost\r\nTransfer-Encoding: chunked")}ffffffff\r\n`, [200, 400, 413, 0]],
  ["a write", get("/status").replace("GET", "POST"), [405]],
  ["a deletion", get("/status").replace("GET", "DELETE"), [405]],
  ["an override of the method", get("/status", "Host: localhost\r\nX-HTTP-Method-Override: DELETE"), [200]],
  ["a method of a stranger", get("/status").replace("GET", "BREW"), [400, 405]],
  ["a tunnel", "CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n", [0, 400, 405]],
  ["an upgrade", get("/status", "Host: localhost\r\nUpgrade: websocket"), [200, 0, 400]],
  ["TLS", Buffer.from("16030100c8010000c40303", "hex"), [400]],
  ["HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400]],
  ["HTTP/9", "GET / HTTP/9.9\r\nHost: localhost\r\n\r\n", [400, 505]],
  ["garbage", Buffer.from(Array.from({ length: 4096 }, (_, i) => (i * 73) % 256)), [400]],
  ["nothing but line ends", "\r\n".repeat(100), [0, 400]],
  ["a page of another site asking", get("/status", "Host: localhost\r\nOrigin: https://evil.example"), [200]],
];

describe("the endpoint is asked with", () => {
  it.each(lines)("%s", async (_, request, statuses) => {
    const started = cpuMs();
    const { status, text } = await raw(request);
    expect(statuses, text.slice(0, 300)).toContain(status);
    expect(cpuMs() - started).toBeLessThan(5_000);
    expect(text).not.toMatch(/node_modules|at .*\.js:|root:/);
    // Nobody else's page may read the answer.
    expect(text).not.toMatch(/access-control-allow/i);
    expect((await raw(get("/health"))).status).toBe(200);
  });

  it("names that would end a line of the metrics", async () => {
    const { text } = await raw(get("/metrics"));
    expect(text).toContain('tailrace_source_changes_total{table="a\\"} 1\\nevil{x=\\"\u202e",service="source"} 1');
    expect(text.split("\n").filter((line) => line.startsWith("evil"))).toEqual([]);
  });

  it("names that would be markup, as JSON that nobody takes for a page", async () => {
    const { text } = await raw(get("/status"));
    expect(text).toMatch(/content-type: application\/json/i);
    expect(text).toMatch(/x-content-type-options: nosniff/i);
  });
});
