/**
 * Stands between a client and a broker and loses, doubles or holds back what it is told to: produce requests and their answers; or it answers as a
 * broker does that has not heard of a topic yet.
 */
import { connect, createServer, type Server, type Socket } from "node:net";

/**
 * `drop-answer`: stored, then both sides are cut. `drop-request`: cut before the broker has it. `swallow`: stored, and never answered. `double`: the
 * broker gets it twice. `late`: answered after two seconds.
 */
export type Fate = "pass" | "drop-answer" | "drop-request" | "swallow" | "double" | "late";
export interface KafkaProxy extends AsyncDisposable {
  readonly port: number;
  /** Decides for the n-th produce request, from 1. */
  decide: (produce: number) => Fate;
  readonly lost: number;
  /** Fetch requests so far. */
  readonly fetched: number;
  /** The next so many answers about this topic say that nobody knows it. */
  forget(topic: string, answers: number): void;
}

const produceApi = 0;
const fetchApi = 1;
const metadataApi = 3;
const unknownTopic = 3;
const lateMs = 2_000;

export async function startKafkaProxy(port: number, target: number): Promise<KafkaProxy> {
  const proxy = new Proxying(port, target);
  await proxy.listen();
  return proxy;
}

class Proxying implements KafkaProxy {
  decide: (produce: number) => Fate = () => "pass";
  lost = 0;
  fetched = 0;
  #produced = 0;
  #forgotten = { topic: "", answers: 0 };
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(
    readonly port: number,
    private readonly target: number,
  ) {
    this.#server = createServer((client) => this.#join(client));
  }

  listen(): Promise<void> {
    return new Promise((resolve, reject) => this.#server.once("error", reject).listen(this.port, "127.0.0.1", resolve));
  }

  forget(topic: string, answers: number): void {
    this.#forgotten = { topic, answers };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(client: Socket): void {
    const broker = connect(this.target, "127.0.0.1");
    const fates = new Map<number, Fate>();
    const aboutTopics = new Set<number>();
    const cut = (): void => {
      client.destroy();
      broker.destroy();
    };
    for (const socket of [client, broker]) {
      this.#sockets.add(socket);
      socket.on("error", cut).on("close", () => {
        this.#sockets.delete(socket);
        cut();
      });
    }
    client.on("data", (data) => {
      for (const frame of requests.take(client, data)) {
        if (frame.readInt16BE(4) === fetchApi) this.fetched++;
        const fate = frame.readInt16BE(4) === produceApi ? this.decide(++this.#produced) : "pass";
        if (fate !== "pass") this.lost++;
        if (fate === "drop-request") return cut();
        if (frame.readInt16BE(4) === metadataApi) aboutTopics.add(frame.readInt32BE(8));
        fates.set(frame.readInt32BE(8), fate);
        broker.write(frame);
        if (fate === "double") broker.write(frame);
      }
    });
    broker.on("data", (data) => {
      for (const frame of requests.take(broker, data)) {
        const fate = fates.get(frame.readInt32BE(4)) ?? "pass";
        // The second answer to a doubled request is for nobody.
        if (fate === "double") fates.set(frame.readInt32BE(4), "swallow");
        else fates.delete(frame.readInt32BE(4));
        if (fate === "drop-answer") return cut();
        if (aboutTopics.delete(frame.readInt32BE(4))) this.#answerForgetting(frame);
        if (fate === "late") setTimeout(() => client.writable && client.write(frame), lateMs);
        else if (fate !== "swallow") client.write(frame);
      }
    });
  }

  /** In an answer about topics each name (two bytes of length before it) follows its error code. */
  #answerForgetting(frame: Buffer): void {
    const { topic, answers } = this.#forgotten;
    const name = answers > 0 ? frame.indexOf(topic) : -1;
    if (name < 4) return;
    frame.writeInt16BE(unknownTopic, name - 4);
    this.#forgotten = { topic, answers: answers - 1 };
  }
}

/** Cuts each connection's bytes into frames of the protocol: int32 length, then so many bytes. */
class Frames {
  readonly #rest = new WeakMap<Socket, Buffer>();

  take(socket: Socket, data: Buffer): readonly Buffer[] {
    let bytes = Buffer.concat([this.#rest.get(socket) ?? Buffer.alloc(0), data]);
    const frames: Buffer[] = [];
    while (bytes.length >= 4 && bytes.length >= 4 + bytes.readInt32BE(0)) {
      const length = 4 + bytes.readInt32BE(0);
      frames.push(bytes.subarray(0, length));
      bytes = bytes.subarray(length);
    }
    this.#rest.set(socket, bytes);
    return frames;
  }
}

const requests = new Frames();
