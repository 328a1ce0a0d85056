/**
 * A client of the broker: settings turned into the library's, and the sockets it opened, so that closing it leaves none behind. The
 * library's own `disconnect` may wait for an answer that never comes (after a broker was killed), hence the time limit.
 */
import { X509Certificate } from "node:crypto";
import { connect as connectPlain, isIP, type Socket } from "node:net";
import { connect as connectTls, createSecureContext } from "node:tls";
import type { Clock } from "../../core/clock.js";
import { TailraceError } from "../../core/errors.js";
import type { KafkaSettings, TlsSettings } from "../../core/settings.js";
import { unreachable } from "../../core/vocabulary/unreachable.js";
import { Kafka, type KafkaConfig, logLevel, type RetryOptions } from "./library.js";

const disconnectPatienceMs = 3_000;
const keepAliveMs = 60_000;

export interface ClientOptions {
  readonly settings: KafkaSettings;
  readonly clientId: string;
  readonly clock: Clock;
}

export class Client {
  readonly kafka: InstanceType<typeof Kafka>;
  /** For every part of the library that takes retry settings of its own: they end when the client is closed. */
  readonly retry: RetryOptions;
  readonly #closed = new AbortController();
  readonly #sockets = new Set<Socket>();
  readonly #clock: Clock;

  constructor({ settings, clientId, clock }: ClientOptions, retry: RetryOptions) {
    this.#clock = clock;
    const withEnd: RetryOptions & { signal: AbortSignal } = { factor: 0.2, multiplier: 2, ...retry, signal: this.#closed.signal };
    this.retry = withEnd;
    this.kafka = new Kafka({
      clientId,
      brokers: [...settings.brokers],
      ...(settings.tls === null ? {} : { ssl: tlsOptions(settings.tls) }),
      ...(settings.sasl === null ? {} : { sasl: saslOptions(settings.sasl) }),
      connectionTimeout: 3_000,
      authenticationTimeout: 10_000,
      requestTimeout: 20_000,
      enforceRequestTimeout: true,
      retry: this.retry,
      logLevel: logLevel.NOTHING,
      // The library tells of every retry; what matters reaches us as an error.
      logCreator: () => () => undefined,
      socketFactory: (options) => this.#socket(options),
    });
  }

  /** `disconnect` of the part that was made of this client; then whatever is still open is cut. Never rejects. */
  async close(disconnect: () => Promise<unknown>): Promise<void> {
    this.#closed.abort();
    const late = new AbortController();
    const done = disconnect().then(
      () => late.abort(),
      () => late.abort(),
    );
    await Promise.any([done, this.#clock.delay(disconnectPatienceMs, late.signal).catch(() => undefined)]);
    // With an error, so that the library rejects what waits for an answer and clears its timers.
    for (const socket of this.#sockets) socket.destroy(new Error("the client was closed"));
  }

  #socket({ host, port, ssl, onConnect }: Parameters<NonNullable<KafkaConfig["socketFactory"]>>[0]): Socket {
    if (this.#closed.signal.aborted) throw new Error("the client was closed");
    const socket = isTls(ssl)
      ? connectTls({ host, port, ...(isIP(host) === 0 ? { servername: host } : {}), ...ssl }, onConnect)
      : connectPlain({ host, port }, onConnect);
    socket.setKeepAlive(true, keepAliveMs);
    socket.setNoDelay(true);
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    return socket;
  }
}

const isTls = (ssl: unknown): ssl is object => typeof ssl === "object" && ssl !== null;

function tlsOptions(tls: NonNullable<TlsSettings>): NonNullable<Exclude<KafkaConfig["ssl"], boolean>> {
  return {
    ...(tls.ca === null ? {} : { ca: [tls.ca] }),
    ...(tls.cert === null ? {} : { cert: tls.cert }),
    ...(tls.key === null ? {} : { key: tls.key.reveal() }),
    rejectUnauthorized: tls.verify,
  };
}

function saslOptions({ mechanism, username, password }: NonNullable<KafkaSettings["sasl"]>): NonNullable<KafkaConfig["sasl"]> {
  const who = { username, password: password.reveal() };
  switch (mechanism) {
    case "plain":
      return { mechanism: "plain", ...who };
    case "scram-sha-256":
      return { mechanism: "scram-sha-256", ...who };
    case "scram-sha-512":
      return { mechanism: "scram-sha-512", ...who };
    default:
      return unreachable(mechanism);
  }
}

/** What can be seen to be wrong before anything is sent. */
export function assertSafe({ brokers, tls, sasl }: KafkaSettings): void {
  if (sasl?.mechanism === "plain" && tls === null && !brokers.every(isLoopback))
    throw new TailraceError("settings.refused", {
      what: "SASL plain without TLS would send the password in the clear; use TLS or a scram mechanism",
      where: { brokers: brokers.join(",") },
    });
  if (tls === null) return;
  try {
    // A secure context takes a CA that is no certificate without a word, and then trusts nobody.
    for (const pem of [tls.ca, tls.cert]) if (pem !== null) new X509Certificate(pem);
    createSecureContext(tlsOptions(tls));
  } catch (error) {
    const what = `the CA, certificate or key cannot be read: ${error instanceof Error ? error.message : "unknown"}`;
    throw new TailraceError("log.tls", { what, where: { brokers: brokers.join(",") }, cause: error });
  }
}

const isLoopback = (broker: string): boolean => /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?$/.test(broker);
