/** The endpoint of a service: right answers, closed to strangers. */
import { connect } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { prometheusMetrics } from "../../cli/http/prometheus-metrics.js";
import { type HttpServer, type Readiness, serveHttp } from "../../cli/http/server.js";

const open: HttpServer[] = [];
afterEach(async () => {
  for (const server of open.splice(0)) await server[Symbol.asyncDispose]();
});

async function serve(readiness: Readiness = { ready: true, why: null }, port = 0): Promise<HttpServer> {
  const metrics = prometheusMetrics({ service: "source" });
  metrics.counter("tailrace_source_changes_total", "Changes.", ["table"]).add(3, { table: "orders" });
  metrics.gauge("tailrace_source_lag_changes", "Behind.").set(null);
  metrics.gauge("tailrace_source_lag_seconds", "Behind.").set(1.5);
  const server = await serveHttp({ host: "127.0.0.1", port }, { ready: () => readiness, status: () => ({ state: "running" }), metrics });
  open.push(server);
  return server;
}

const at = (server: HttpServer, path: string): string => `http://127.0.0.1:${server.address.port}${path}`;

/** A request as it is on the wire, for what fetch would not send. */
async function raw(server: HttpServer, request: string): Promise<string> {
  const socket = connect(server.address.port, "127.0.0.1");
  socket.end(request);
  const parts: Buffer[] = [];
  for await (const part of socket) parts.push(part as Buffer);
  return Buffer.concat(parts).toString("latin1");
}

describe("the HTTP endpoint", () => {
  it("is alive while it is not ready, and says why it is not", async () => {
    const server = await serve({ ready: false, why: "waiting for the target" });
    expect((await fetch(at(server, "/health"))).status).toBe(200);
    const ready = await fetch(at(server, "/ready"));
    expect([ready.status, await ready.json()]).toEqual([503, { ready: false, why: "waiting for the target" }]);
  });

  it("answers status as JSON and metrics as Prometheus text, without numbers that nobody measured", async () => {
    const server = await serve();
    expect((await fetch(at(server, "/ready"))).status).toBe(200);
    expect(await (await fetch(at(server, "/status"))).json()).toEqual({ state: "running" });
    const text = await (await fetch(at(server, "/metrics"))).text();
    expect(text).toContain('tailrace_source_changes_total{table="orders",service="source"} 3');
    expect(text).toContain('tailrace_source_lag_seconds{service="source"} 1.5');
    expect(text).not.toMatch(/^tailrace_source_lag_changes/m);
    expect(text).toContain("process_resident_memory_bytes");
  });

  it("answers 421 on every path to a host name that is not this machine's", async () => {
    const server = await serve();
    for (const path of ["/health", "/ready", "/status", "/metrics", "/nothing"]) {
      for (const host of ["evil.example", "127.0.0.1.evil.example", "localhost.evil:80", "[::2]", "a@127.0.0.1"]) {
        expect(await raw(server, `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)).toMatch(/^HTTP\/1.1 4(21|00)/);
      }
    }
    expect(await raw(server, "GET /health HTTP/1.1\r\nHost: localhost:9\r\nConnection: close\r\n\r\n")).toMatch(/^HTTP\/1.1 200/);
  });

  it("takes no writes and no bodies, and tells nothing of itself on an unknown path", async () => {
    const server = await serve();
    expect((await fetch(at(server, "/status"), { method: "POST", body: "x" })).status).toBe(405);
    const large = `GET /status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1073741824\r\nConnection: close\r\n\r\n`;
    expect(await raw(server, large)).toMatch(/^HTTP\/1.1 413/);
    expect((await fetch(at(server, "/../../etc/passwd"))).status).toBe(404);
  });

  it("refuses an address that is taken and one that is not loopback", async () => {
    const server = await serve();
    await expect(serve({ ready: true, why: null }, server.address.port)).rejects.toMatchObject({ code: "http.port" });
    const metrics = prometheusMetrics({});
    await expect(
      serveHttp({ host: "0.0.0.0", port: 0 }, { ready: () => ({ ready: true, why: null }), status: () => ({}), metrics }),
    ).rejects.toMatchObject({ code: "http.port" });
  });
});
