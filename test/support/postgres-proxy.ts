/**
 * Stands between a sink and PostgreSQL and knows where one statement ends: it can end a session at the n-th statement, or lose the answer to
 * COMMIT, on whatever connection that is.
 */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** `cut`: both sides see the connection end. `terminate`: the session is ended as an administrator would, before the statement arrives. */
export type SessionEnd = "cut" | "terminate";
export interface Strike {
  readonly at: number;
  readonly how: SessionEnd;
}

const backendKeyData = "K".charCodeAt(0);
/** Messages that make the server do something: simple query and execute. */
const statements = new Set(["Q".charCodeAt(0), "E".charCodeAt(0)]);

export class PostgresProxy implements AsyncDisposable {
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;
  #strike: Strike | null = null;
  #seen = 0;
  /** Answers to COMMIT that are still to be lost. */
  #commitsToLose = 0;
  hits = 0;

  constructor(
    private readonly target: { readonly host: string; readonly port: number },
    /** Ends a session as an administrator would. */
    private readonly terminate: (pid: number) => Promise<void>,
  ) {
    this.#server = createServer((client) => this.#join(client));
  }

  async listen(): Promise<number> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return (this.#server.address() as AddressInfo).port;
  }

  /** The n-th statement from now on, over all connections. */
  strike(strike: Strike | null): void {
    this.#strike = strike;
    this.#seen = 0;
  }

  loseCommits(count: number): void {
    this.#commitsToLose = count;
  }

  /** Ends what is open now. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(client: Socket): void {
    const server = connect(this.target);
    const cut = (): void => {
      client.destroy();
      server.destroy();
    };
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      // Messages are passed on one by one: with Nagle's wait each would cost 40 ms.
      socket.setNoDelay(true);
      socket.on("error", cut).on("close", () => {
        this.#sockets.delete(socket);
        cut();
      });
    }
    const session = { pid: 0 };
    const requests = new Messages(true);
    const answers = new Messages(false);
    let sent = Promise.resolve();
    client.on("data", (data: Buffer) => {
      for (const message of requests.take(data)) {
        const hit = statements.has(message[0] ?? 0) && session.pid !== 0 ? this.#counted() : null;
        sent = sent.then(async () => {
          if (hit === "cut") {
            // The server gets the statement and goes on without anybody to answer.
            server.end(message);
            client.destroy();
            return;
          }
          if (hit === "terminate") await this.terminate(session.pid);
          if (server.writable) server.write(message);
        });
      }
    });
    server.on("data", (data: Buffer) => {
      for (const message of answers.take(data)) {
        if (message[0] === backendKeyData) session.pid = message.readInt32BE(5);
        if (this.#commitsToLose > 0 && message.includes("COMMIT\0")) {
          this.#commitsToLose -= 1;
          this.hits += 1;
          return cut();
        }
        client.write(message);
      }
    });
  }

  #counted(): SessionEnd | null {
    this.#seen += 1;
    if (this.#strike === null || this.#seen !== this.#strike.at) return null;
    const { how } = this.#strike;
    this.#strike = null;
    this.hits += 1;
    return how;
  }
}

/** Cuts a side's bytes into messages: a type, a length that counts itself, and the rest. A client's first message has no type. */
class Messages {
  #rest: Buffer = Buffer.alloc(0);

  constructor(private untyped: boolean) {}

  take(data: Buffer): readonly Buffer[] {
    let bytes = this.#rest.length === 0 ? data : Buffer.concat([this.#rest, data]);
    const messages: Buffer[] = [];
    for (;;) {
      const header = this.untyped ? 0 : 1;
      if (bytes.length < header + 4) break;
      const length = header + bytes.readInt32BE(header);
      if (bytes.length < length) break;
      messages.push(bytes.subarray(0, length));
      this.untyped = false;
      bytes = bytes.subarray(length);
    }
    this.#rest = bytes;
    return messages;
  }
}
