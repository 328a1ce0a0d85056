/**
 * The way of PostgreSQL's log to us. The package carries it; what it would say back is said by us, for it loses data in two ways: its timer
 * acknowledges whatever has arrived, although told not to, and its acknowledgement is one byte too high, so that a transaction whose commit record
 * begins exactly there is never sent again.
 *
 * Promises: the server hears only of places that were given to `confirm`. While the reader is full nothing is read, and the server still hears of us,
 * so it does not give us up. A slot that an earlier stream of ours has not let go of is freed.
 */
import { Socket } from "node:net";
import { LogicalReplicationService } from "pg-logical-replication";
import type { Client } from "pg";
import type { Clock } from "../../../core/clock.js";
import { TailraceError } from "../../../core/errors.js";
import { textFormSettings } from "../connection.js";
import type { ConnectionSettings } from "../connection-url.js";
import { sqlState } from "../pg-errors.js";
import { quoteName } from "../quote.js";
import { type Lsn, lsn, parseLsn, writeLsn } from "./lsn.js";
import { type Message, parseMessage, postgresEpochUs } from "./pgoutput.js";

interface StreamOptions {
  readonly settings: ConnectionSettings;
  readonly applicationName: string;
  readonly slot: string;
  readonly publication: string;
  readonly clock: Clock;
  readonly onMessage: (message: Message, bytes: number) => void;
  /** Everything before it was sent. */
  readonly onCaughtUp: (end: Lsn) => void;
  /** Nothing more will come. */
  readonly onEnd: (why: unknown) => void;
  /** Ends whatever session of ours still holds the slot; rejects when it is somebody else's. */
  readonly freeSlot: () => Promise<void>;
}

const attemptsMost = 100;
const againMs = 50;
const nowhere = lsn(0);

/** What of the library's connection we use, and it does not describe. */
interface Wire {
  sendCopyFromChunk(bytes: Buffer): void;
}
/** What cannot be read is thrown where somebody catches it, which the library's listener is not. */
type Arrived = { readonly message: Message; readonly bytes: number } | { readonly unreadable: unknown };

export class ReplicationStream implements AsyncDisposable {
  #confirmed: Lsn = nowhere;
  #closed = false;

  private constructor(
    private readonly service: LogicalReplicationService,
    private readonly plugin: RawPlugin,
    private readonly socket: Socket,
    private readonly options: StreamOptions,
  ) {}

  /** From where the slot was confirmed; the caller knows what of it was told before. */
  static async open(options: StreamOptions, signal: AbortSignal): Promise<ReplicationStream> {
    for (let attempt = 1; ; attempt++) {
      signal.throwIfAborted();
      const stream = ReplicationStream.#make(options);
      try {
        await stream.#start(signal);
        return stream;
      } catch (thrown) {
        await stream[Symbol.asyncDispose]();
        // 55006: the slot is active.
        if (sqlState(thrown) !== "55006" || attempt === attemptsMost) throw thrown;
      }
      await options.freeSlot();
      await options.clock.delay(againMs, signal);
    }
  }

  static #make(options: StreamOptions): ReplicationStream {
    const { connectTimeoutMs, lockTimeoutMs: _, ...where } = options.settings;
    const socket = new Socket();
    const service = new LogicalReplicationService(
      {
        ...where,
        stream: () => socket,
        application_name: options.applicationName,
        connectionTimeoutMillis: connectTimeoutMs,
        keepAlive: true,
        keepAliveInitialDelayMillis: 10_000,
        options: startupOptions,
      },
      { acknowledge: { auto: false, timeoutSeconds: 0 } },
    );
    return new ReplicationStream(service, new RawPlugin(options.publication), socket, options);
  }

  /** From now on the server may forget what lies before `at`. */
  confirm(at: Lsn): void {
    if (at > this.#confirmed) this.#confirmed = at;
    this.#say();
  }

  /** Nothing is read while it is full. */
  pause(full: boolean): void {
    if (full) this.socket.pause();
    else this.socket.resume();
  }

  /** Idempotent. The server notices that the socket is gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.socket.destroy();
    // Its answer may never come, and says nothing.
    this.service.stop().catch(() => {});
    await Promise.resolve();
  }

  async #start(signal: AbortSignal): Promise<void> {
    const { service, plugin, options } = this;
    service.on("data", (_: string, arrived: Arrived) => {
      if ("unreadable" in arrived) this.#ended(arrived.unreadable);
      else if (!this.#closed) options.onMessage(arrived.message, arrived.bytes);
    });
    service.on("heartbeat", (end, _, answer) => {
      if (this.#closed) return;
      options.onCaughtUp(parseLsn(end));
      if (answer) this.#say();
    });
    service.on("error", (error) => this.#ended(error));
    await new Promise<void>((resolve, reject) => {
      const stop = (): void => reject(signal.reason as Error);
      signal.addEventListener("abort", stop, { once: true });
      service.on("start", () => {
        signal.removeEventListener("abort", stop);
        resolve();
      });
      const over = (why: unknown): void => {
        signal.removeEventListener("abort", stop);
        reject(why instanceof Error ? why : new Error(String(why)));
        this.#ended(why);
      };
      service.subscribe(plugin, options.slot).then(() => over(closed()), over);
    });
  }

  #ended(why: unknown): void {
    if (!this.#closed) this.options.onEnd(why);
  }

  /** Standby status update: written, flushed and applied up to the same place. */
  #say(): void {
    if (this.#closed || this.#confirmed === nowhere) return;
    const bytes = Buffer.alloc(34);
    bytes.write("r", 0, "latin1");
    for (const at of [1, 9, 17]) writeLsn(bytes, this.#confirmed, at);
    bytes.writeBigInt64BE(BigInt(Math.trunc(this.options.clock.wallMs())) * 1_000n - postgresEpochUs, 25);
    this.plugin.wire?.sendCopyFromChunk(bytes);
  }
}

/** In the place of the library's own. */
class RawPlugin {
  readonly name = "pgoutput";
  readonly options = {};
  wire: Wire | null = null;

  constructor(private readonly publication: string) {}

  parse(bytes: Buffer): Arrived {
    try {
      return { message: parseMessage(bytes), bytes: bytes.length };
    } catch (unreadable) {
      return { unreadable };
    }
  }

  start(client: Client, slot: string): Promise<unknown> {
    this.wire = (client as unknown as { readonly connection: Wire }).connection;
    // The publication's name is a list of identifiers inside a literal.
    const publication = quoteName(this.publication).replaceAll("'", "''");
    return client.query(`START_REPLICATION SLOT ${quoteName(slot)} LOGICAL 0/0 (proto_version '1', publication_names '${publication}')`);
  }
}

/** Blanks in a value are escaped, as the server's command line wants it. */
const startupOptions = Object.entries(textFormSettings)
  .map(([name, value]) => `-c ${name}=${value.replaceAll(" ", "\\ ")}`)
  .join(" ");

const closed = (): TailraceError => new TailraceError("source.unavailable", { what: "PostgreSQL has ended the replication stream" });
