/**
 * A way to a server that can be cut, slowed and deafened: while it is down, connections are refused and open ones are gone; a toxic changes what
 * happens to the bytes of connections that stay.
 */
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { freePort } from "./ports.js";

export type Toxic =
  | { readonly kind: "clear" }
  /** Every piece arrives so much later. */
  | { readonly kind: "late"; readonly ms: number; readonly jitterMs: number }
  /** In pieces of so many bytes. */
  | { readonly kind: "sliced"; readonly bytes: number }
  /** What this side sends is lost, and nobody is told: connections are accepted and stay open. */
  | { readonly kind: "silent"; readonly from: "client" | "server" | "both" }
  /** A connection is reset when it has carried so many bytes. */
  | { readonly kind: "resets"; readonly afterBytes: number };

type Side = "client" | "server";

export class TcpProxy implements AsyncDisposable {
  readonly #sockets = new Set<Socket>();
  #server: Server | null = null;
  #port: number;
  toxic: Toxic = { kind: "clear" };
  /** Connections that were accepted so far. */
  accepted = 0;
  /** Connections that are open now and are deaf, whatever the toxic: nothing comes through, in either direction. */
  readonly #deaf = new Set<object>();
  readonly #open = new Map<object, number>();

  constructor(
    private readonly target: { readonly host: string; readonly port: number },
    port = 0,
  ) {
    this.#port = port;
  }

  get port(): number {
    return this.#port;
  }

  /** On the same port as before, if there was one. */
  async up(): Promise<void> {
    if (this.#port === 0) this.#port = await freePort();
    const server = createServer((client) => this.#join(client));
    server.listen(this.#port, "127.0.0.1");
    await once(server, "listening");
    this.#server = server;
  }

  async down(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server === null) return;
    server.close();
    this.reset();
    await once(server, "close");
  }

  /** Ends what is open now; new connections are as good as before. */
  reset(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /**
   * Makes open connections deaf that have carried nothing for so long, and leaves those alone that talk. New ones are not touched. False, and nothing is
   * done: they are not as many as that, or one that talks was only kept from it for a moment.
   */
  deafenQuiet(forMs: number, count: number): boolean {
    const quiet = [...this.#open].filter(([, at]) => performance.now() - at > forMs);
    if (quiet.length !== count) return false;
    for (const [connection] of quiet) this.#deaf.add(connection);
    return true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.down();
  }

  #join(client: Socket): void {
    this.accepted += 1;
    const server = connect(this.target);
    const carried = { bytes: 0 };
    this.#open.set(carried, performance.now());
    client.on("close", () => this.#open.delete(carried));
    for (const [side, from, to] of [
      ["client", client, server],
      ["server", server, client],
    ] as const) {
      this.#sockets.add(from);
      from.setNoDelay(true);
      from.on("error", () => to.destroy());
      from.on("close", () => {
        this.#sockets.delete(from);
        to.destroy();
      });
      const lane = { due: 0, sent: Promise.resolve() };
      from.on("data", (data: Buffer) => {
        for (const piece of this.#pieces(data)) this.#carry(side, piece, { lane, to, carried });
      });
      from.on("end", () => void lane.sent.then(() => to.end()));
    }
  }

  #pieces(data: Buffer): readonly Buffer[] {
    const { toxic } = this;
    if (toxic.kind !== "sliced") return [data];
    return Array.from({ length: Math.ceil(data.length / toxic.bytes) }, (_, i) => data.subarray(i * toxic.bytes, (i + 1) * toxic.bytes));
  }

  #carry(side: Side, piece: Buffer, { lane, to, carried }: Way): void {
    const { toxic } = this;
    carried.bytes += piece.length;
    this.#open.set(carried, performance.now());
    if (this.#deaf.has(carried)) return;
    if (toxic.kind === "silent" && (toxic.from === "both" || toxic.from === side)) return;
    if (toxic.kind === "resets" && carried.bytes > toxic.afterBytes) {
      to.resetAndDestroy();
      return;
    }
    const lateMs = toxic.kind === "late" ? toxic.ms + Math.random() * toxic.jitterMs : 0;
    lane.due = Math.max(lane.due, performance.now() + lateMs);
    const waitMs = lane.due - performance.now();
    if (waitMs <= 0 && toxic.kind !== "sliced") {
      lane.sent = lane.sent.then(() => void (to.writable && to.write(piece)));
      return;
    }
    // Slices go out one after the other, each in a packet of its own.
    lane.sent = lane.sent
      .then(() => new Promise<void>((resolve) => (waitMs > 0 ? setTimeout(resolve, waitMs) : setImmediate(resolve))))
      .then(() => void (to.writable && to.write(piece)));
  }
}

interface Way {
  readonly lane: { due: number; sent: Promise<void> };
  readonly to: Socket;
  readonly carried: { bytes: number };
}
