/** Stands between a client and PostgreSQL and counts what the client asks for; can keep the answers back. */
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface Asked {
  /** Statements parsed anew, executed, and executed as text. */
  readonly parsed: number;
  readonly executed: number;
  readonly simple: number;
  readonly copyMessages: number;
  readonly copyBytes: number;
}
export interface CountingProxy extends AsyncDisposable {
  /** The given URL, through the proxy. */
  readonly url: string;
  /** Since the last call, by connections that have committed something since: a lock's heartbeat comes by the clock. */
  take(): Asked;
  /** Answers wait until a client has sent a message with these bytes; then everything passes again. */
  keepAnswersUntil(bytes: string): void;
}

const nothing = { parsed: 0, executed: 0, simple: 0, copyMessages: 0, copyBytes: 0 };
const sslRequest = 80877103;

export async function countingProxy(url: string): Promise<CountingProxy> {
  const target = new URL(url);
  const { hostname, port } = target;
  const sockets = new Set<Socket>();
  const connections = new Set<{ asked: typeof nothing; commits: boolean }>();
  let keepUntil: Buffer | null = null;
  let kept: (() => void)[] = [];
  const pass = (): void => {
    keepUntil = null;
    for (const deliver of kept) deliver();
    kept = [];
  };
  const server = createServer((client) => {
    const upstream = connect(Number(port || "5432"), hostname);
    const cut = (): void => {
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", cut).on("close", cut);
    }
    const connection = { asked: { ...nothing }, commits: false };
    connections.add(connection);
    const messages = messageCounter((type, body) => {
      const { asked } = connection;
      if (type === "P") asked.parsed++;
      if (type === "E") asked.executed++;
      if (type === "Q") asked.simple++;
      if (type === "Q" && body.includes("COMMIT")) connection.commits = true;
      if (type !== "d") return;
      asked.copyMessages++;
      asked.copyBytes += body.length;
    });
    client.on("data", (data) => {
      messages(data);
      upstream.write(data);
      if (keepUntil !== null && data.includes(keepUntil)) pass();
    });
    upstream.on("data", (data) => {
      if (keepUntil === null) client.write(data);
      else kept.push(() => client.write(data));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  target.hostname = "127.0.0.1";
  target.port = String((server.address() as AddressInfo).port);
  return {
    url: target.href,
    take: () => {
      const taken = { ...nothing };
      for (const connection of connections) {
        if (connection.commits) {
          taken.parsed += connection.asked.parsed;
          taken.executed += connection.asked.executed;
          taken.simple += connection.asked.simple;
          taken.copyMessages += connection.asked.copyMessages;
          taken.copyBytes += connection.asked.copyBytes;
        }
        connection.asked = { ...nothing };
        connection.commits = false;
      }
      return taken;
    },
    keepAnswersUntil: (bytes) => {
      keepUntil = Buffer.from(bytes);
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Cuts one connection's bytes into messages: the first has no type, and may be a question for TLS before it. */
function messageCounter(count: (type: string, body: Buffer) => void): (data: Buffer) => void {
  let rest = Buffer.alloc(0);
  let started = false;
  return (data) => {
    rest = Buffer.concat([rest, data]);
    for (;;) {
      const head = started ? 1 : 0;
      if (rest.length < head + 4) return;
      const end = head + rest.readInt32BE(head);
      if (rest.length < end) return;
      if (started) count(String.fromCharCode(rest[0] ?? 0), rest.subarray(5, end));
      else started = end !== 8 || rest.readInt32BE(4) !== sslRequest;
      rest = rest.subarray(end);
    }
  };
}
