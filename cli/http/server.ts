/**
 * The HTTP endpoint of one process: /health, /ready, /status, /metrics. Promises: it binds loopback only, answers only to a Host that
 * names this machine (a web page that rebinds its DNS name gets 421), reads no body, and never says more than codes and sentences.
 */
import { once } from "node:events";
import type { Server } from "node:http";
import { createAdaptorServer } from "@hono/node-server";
import { Hono } from "hono";
import { describeError, TailraceError } from "../../core/errors.js";
import { type Address, formatAddress, isLoopback } from "../settings/address.js";

export interface Readiness {
  readonly ready: boolean;
  /** One sentence when it is not. */
  readonly why: string | null;
}
export interface HttpHost {
  ready(): Readiness | Promise<Readiness>;
  /** Plain JSON. */
  status(): unknown;
  readonly metrics: { readonly contentType: string; text(): Promise<string> };
}
export interface HttpServer extends AsyncDisposable {
  /** With the port that was really bound. */
  readonly address: Address;
}

const bodyBytesMax = 1024 * 1024;

export async function serveHttp(address: Address, host: HttpHost): Promise<HttpServer> {
  if (!isLoopback(address.host)) {
    throw new TailraceError("http.port", {
      what: "Only a loopback address can be bound until tokens exist",
      where: { listen: formatAddress(address) },
    });
  }
  const app = routes(host);
  const server = createAdaptorServer({
    fetch: app.fetch,
    serverOptions: { maxHeaderSize: 16 * 1024, headersTimeout: 10_000, requestTimeout: 30_000, keepAliveTimeout: 5_000 },
  }) as Server;
  server.maxConnections = 256;
  const port = await bind(server, address);
  return {
    address: { host: address.host, port },
    [Symbol.asyncDispose]: async () => {
      if (!server.listening) return;
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function bind(server: Server, address: Address): Promise<number> {
  const bound = once(server, "listening");
  server.listen(address.port, address.host);
  try {
    await bound;
  } catch (cause) {
    throw new TailraceError("http.port", {
      what: `The address cannot be bound (${String((cause as { code?: unknown }).code)})`,
      where: { listen: formatAddress(address) },
      cause,
    });
  }
  const listening = server.address();
  return typeof listening === "object" && listening !== null ? listening.port : address.port;
}

export function routes(host: HttpHost): Hono {
  const app = new Hono();
  app.use(async (context, next) => {
    if (!isOurName(context.req.header("host"))) return context.json({ error: "this host name is not served here" }, 421);
    if (context.req.method !== "GET" && context.req.method !== "HEAD") return context.json({ error: "only GET is served here" }, 405);
    if (Number(context.req.header("content-length") ?? 0) > bodyBytesMax) return context.json({ error: "no body is wanted" }, 413);
    await next();
    context.header("X-Content-Type-Options", "nosniff");
    context.header("Cache-Control", "no-store");
    return undefined;
  });
  app.get("/health", (context) => context.json({ alive: true }));
  app.get("/ready", async (context) => {
    const readiness = await host.ready();
    return context.json(readiness, readiness.ready ? 200 : 503);
  });
  app.get("/status", (context) => context.json(host.status() as Record<string, unknown>));
  app.get("/metrics", async (context) => context.text(await host.metrics.text(), 200, { "Content-Type": host.metrics.contentType }));
  app.notFound((context) => context.json({ error: "known here: /health /ready /status /metrics" }, 404));
  app.onError((thrown, context) => context.json({ error: describeError(thrown) }, 500));
  return app;
}

/** Any port: it may be forwarded. The name decides. */
function isOurName(host: string | undefined): boolean {
  const match = /^(\[[0-9A-Fa-f:]+\]|[^:[\]]+)(?::\d{1,5})?$/.exec(host ?? "");
  return match?.[1] !== undefined && isLoopback(match[1]);
}
