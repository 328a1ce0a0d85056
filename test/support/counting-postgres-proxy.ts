/** Stands between a client and PostgreSQL and counts what the client asks for; can keep the answers back. */
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface Asked {
  /** Statements parsed anew, executed, and executed as text; the lock's heartbeat is not among them. */
  readonly parsed: number;
  readonly executed: number;
  readonly simple: number;
  readonly copyMessages: number;
  readonly copyBytes: number;
}
export interface CountingProxy extends AsyncDisposable {
  /** The given URL, through the proxy. */
  readonly url: string;
  /** Since the last call. */
  take(): Asked;
  /** Answers wait until a client has sent a message with these bytes; then everything passes again. */
  keepAnswersUntil(bytes: string): void;
}

const nothing = { parsed: 0, executed: 0, simple: 0, copyMessages: 0, copyBytes: 0 };
const sslRequest = 80877103;
/** Of the owner's lock: it comes by the clock, and is not counted. */
const heartbeat = Buffer.from("SELECT 1\0");

export async function countingProxy(url: string): Promise<CountingProxy> {
  const target = new URL(url);
  const { hostname, port } = target;
  const sockets = new Set<Socket>();
  let asked = { ...nothing };
  let keepUntil: Buffer | null = null;
  let kept: (() => void)[] = [];
  const pass = (): void => {
    keepUntil = null;
    for (const deliver of kept) deliver();
    kept = [];
  };
  const count = (type: string, body: Buffer): void => {
    if (type === "P") asked.parsed++;
    if (type === "E") asked.executed++;
    if (type === "Q" && !body.equals(heartbeat)) asked.simple++;
    if (type !== "d") return;
    asked.copyMessages++;
    asked.copyBytes += body.length;
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
    const messages = messageCounter(count);
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
      const taken = asked;
      asked = { ...nothing };
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
