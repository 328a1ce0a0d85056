/** A TCP proxy in front of PostgreSQL that loses an answer or a request at the moment a test asks for. */
import { connect, createServer, type Socket } from "node:net";

export interface LosingProxy extends AsyncDisposable {
  /** The given URL, through the proxy. */
  readonly url: string;
  /** From now on, the connection over which the bytes come is cut before they are passed on. Null: pass everything. */
  lose(what: { readonly from: "client" | "server"; readonly bytes: Buffer } | null): void;
}

export async function losingProxy(url: string): Promise<LosingProxy> {
  const target = new URL(url);
  const { hostname } = target;
  const port = Number(target.port || "5432");
  const sockets = new Set<Socket>();
  let losing: { readonly from: "client" | "server"; readonly bytes: Buffer } | null = null;
  const server = createServer((client) => {
    const upstream = connect(port, hostname);
    const cut = (): void => {
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", cut).on("close", cut);
    }
    client.on("data", (data) => (losing?.from === "client" && data.includes(losing.bytes) ? cut() : upstream.write(data)));
    upstream.on("data", (data) => (losing?.from === "server" && data.includes(losing.bytes) ? cut() : client.write(data)));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  target.hostname = "127.0.0.1";
  target.port = String(typeof address === "object" && address !== null ? address.port : 0);
  return {
    url: target.href,
    lose: (what) => {
      losing = what;
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
