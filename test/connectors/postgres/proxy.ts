/** A TCP proxy in front of PostgreSQL that loses an answer or a request at the moment a test asks for, or keeps answers to itself. */
import { connect, createServer, type Socket } from "node:net";

export interface LosingProxy extends AsyncDisposable {
  /** The given URL, through the proxy. */
  readonly url: string;
  /** From now on, the connection over which the bytes come is cut before they are passed on. Null: pass everything. */
  lose(what: { readonly from: "client" | "server"; readonly bytes: Buffer } | null): void;
  /** Resolves when the server has been sent these bytes by somebody. Whoever sent them gets no answer any more, whatever the server says. */
  sentInVain(bytes: Buffer): Promise<void>;
}

export async function losingProxy(url: string): Promise<LosingProxy> {
  const target = new URL(url);
  const { hostname } = target;
  const port = Number(target.port || "5432");
  const sockets = new Set<Socket>();
  let losing: { readonly from: "client" | "server"; readonly bytes: Buffer } | null = null;
  let vain: { readonly bytes: Buffer; readonly sent: () => void } | null = null;
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
    let isDeaf = false;
    client.on("data", (data) => {
      if (losing?.from === "client" && data.includes(losing.bytes)) return cut();
      upstream.write(data);
      if (vain === null || !data.includes(vain.bytes)) return;
      isDeaf = true;
      vain.sent();
    });
    upstream.on("data", (data) => {
      if (losing?.from === "server" && data.includes(losing.bytes)) cut();
      else if (!isDeaf) client.write(data);
    });
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
    sentInVain: (bytes) =>
      new Promise((resolve) => {
        vain = { bytes, sent: resolve };
      }),
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
