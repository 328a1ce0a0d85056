/** Debezium's JDBC sink in a Kafka Connect worker of its own, reading our topics as they are. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePorts } from "../../test/support/ports.js";
import { JavaProcess } from "./java-process.js";
import type { PeerParts } from "./parts.js";

export interface JdbcSinkOptions {
  readonly name: string;
  readonly brokers: readonly string[];
  readonly registryUrl: string;
  readonly topic: string;
  /** `schema.table`, made beforehand. */
  readonly table: string;
  /** Of the target. */
  readonly url: string;
  readonly folder: string;
  readonly tuning: Tuning;
}
export interface Tuning {
  readonly connector: Readonly<Record<string, string>>;
  readonly worker: Readonly<Record<string, string>>;
}

/** As documented, and the best that a search over its settings found: without the reduction buffer, unnest dies of a key that repeats. */
export const tunings: Readonly<Record<"default" | "best", Tuning>> = {
  default: { connector: {}, worker: {} },
  best: {
    connector: { "batch.size": "10000", "use.reduction.buffer": "true", "dialect.postgres.unnest.insert.enabled": "true" },
    worker: {
      "consumer.max.poll.records": "10000",
      "consumer.max.partition.fetch.bytes": String(32 << 20),
      "consumer.fetch.max.bytes": String(64 << 20),
    },
  },
};

export class JdbcSink implements AsyncDisposable {
  private constructor(
    private readonly worker: JavaProcess,
    private readonly statusUrl: string,
  ) {}

  /** The worker may not be up yet on return. Goes on where an earlier one of the same name has ended. */
  static async start(parts: PeerParts, options: JdbcSinkOptions): Promise<JdbcSink> {
    const [port = 0] = await freePorts(1);
    const folder = join(options.folder, options.name);
    mkdirSync(folder, { recursive: true });
    const files = { worker: join(folder, "worker.properties"), connector: join(folder, "connector.properties") };
    writeFileSync(files.worker, properties(workerProperties(parts, options, { port, folder })));
    writeFileSync(files.connector, properties(connectorProperties(options)));
    const args = ["-Xms256m", "-Xmx2g", "-XX:+UseG1GC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", `${parts.connect}/*`];
    const main = "org.apache.kafka.connect.cli.ConnectStandalone";
    const worker = new JavaProcess("Kafka Connect", {
      java: parts.java,
      args: [...args, main, files.worker, files.connector],
      folder,
      log: join(folder, "connect.log"),
    });
    return new JdbcSink(worker, `http://127.0.0.1:${port}/connectors/${options.name}/status`);
  }

  get pid(): number {
    return this.worker.pid;
  }

  /** A failed task leaves the worker up, with nothing but its REST API to tell. */
  async refuseFailed(): Promise<void> {
    this.worker.refuseEnded();
    const answer = await fetch(this.statusUrl).catch(() => null);
    if (answer === null || !answer.ok) return;
    const { tasks } = (await answer.json()) as { readonly tasks: readonly { readonly state: string; readonly trace?: string }[] };
    const failed = tasks.find(({ state }) => state === "FAILED");
    if (failed !== undefined) throw new Error(`the JDBC sink's task failed:\n${failed.trace?.slice(0, 6_000) ?? this.worker.said()}`);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.worker[Symbol.asyncDispose]();
  }
}

const properties = (of: Readonly<Record<string, string>>): string =>
  `${Object.entries(of)
    .map(([name, value]) => `${name}=${value}`)
    .join("\n")}\n`;

function workerProperties(
  parts: PeerParts,
  { brokers, registryUrl, tuning }: JdbcSinkOptions,
  { port, folder }: { readonly port: number; readonly folder: string },
): Readonly<Record<string, string>> {
  const converters = ["key", "value"].map((side) => ({
    [`${side}.converter`]: "io.apicurio.registry.utils.converter.AvroConverter",
    [`${side}.converter.apicurio.registry.url`]: registryUrl,
    [`${side}.converter.apicurio.registry.as-confluent`]: "true",
    [`${side}.converter.apicurio.registry.use-id`]: "globalId",
    [`${side}.converter.apicurio.registry.headers.enabled`]: "false",
  }));
  return {
    "bootstrap.servers": brokers.join(","),
    listeners: `http://127.0.0.1:${port}`,
    "plugin.path": parts.plugins,
    // The converter has no service file: a scan of the classes finds it.
    "plugin.discovery": "hybrid_warn",
    "offset.storage.file.filename": join(folder, "offsets"),
    "offset.flush.interval.ms": "10000",
    "connector.client.config.override.policy": "All",
    ...Object.assign({}, ...converters),
    ...tuning.worker,
  };
}

function connectorProperties({ name, topic, table, url, tuning }: JdbcSinkOptions): Readonly<Record<string, string>> {
  const target = new URL(url);
  return {
    name,
    "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
    "tasks.max": "1",
    topics: topic,
    "connection.url": `jdbc:postgresql://${target.hostname}:${target.port}${target.pathname}`,
    "connection.username": decodeURIComponent(target.username),
    "connection.password": decodeURIComponent(target.password),
    "insert.mode": "upsert",
    "primary.key.mode": "record_key",
    "delete.enabled": "true",
    "schema.evolution": "none",
    "collection.name.format": table,
    "consumer.override.auto.offset.reset": "earliest",
    ...tuning.connector,
  };
}
