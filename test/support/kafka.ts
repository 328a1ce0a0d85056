/**
 * A real Kafka broker for tests: one KRaft node from Maven's jars. `sharedKafka` is one for the whole run, `startKafka` one of a test's own
 * that may be killed. A guard beside each broker kills it when the test run is gone, however that ended.
 */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Kafka, logLevel } from "../../connectors/kafka/library.js";
import { isAlive } from "./is-alive.js";
import { kafkaJars } from "./kafka-jars.js";
import { freePorts } from "./ports.js";

export interface KafkaBroker {
  /** `127.0.0.1:port`, for settings. */
  readonly brokers: readonly string[];
  readonly directory: string;
  /** Of the JVM that runs now. */
  pid(): number;
  /** SIGKILL; returns when the process is gone. */
  kill(): Promise<void>;
  /** SIGSTOP and SIGCONT: it keeps its connections and does nothing. */
  freeze(): void;
  thaw(): void;
  /** Lines that win over all others from the next start on. */
  configure(lines: readonly string[]): void;
  /** SIGTERM, then deletes the directory if it was made here. */
  stop(): Promise<void>;
  /** Starts on the same directory and port; returns when it answers. */
  restart(): Promise<void>;
}
export interface KafkaOptions {
  /** Kept after `stop` when given. */
  readonly directory?: string;
  /** More lines for server.properties; they win over ours. */
  readonly properties?: readonly string[];
  /** The plaintext listener's own port; a free one unless somebody must know it beforehand. */
  readonly port?: number;
  /** What clients are told to connect to: a proxy's port instead of the broker's own. */
  readonly advertisedPort?: number;
}
export type TestKafka =
  | { readonly kind: "ready"; readonly brokers: readonly string[] }
  | { readonly kind: "missing"; readonly why: string };

const startPatienceMs = 90_000;

/** The broker that all test files of a run share; `missing` says why tests are skipped. Topics need random names. */
export async function sharedKafka(): Promise<TestKafka> {
  const given = process.env.TAILRACE_TEST_KAFKA;
  if (given !== undefined && given !== "") return { kind: "ready", brokers: given.split(",") };
  const run = process.env.TAILRACE_TEST_RUN;
  if (run === undefined) throw new Error("test/support/global-setup.ts did not run");
  const jars = await kafkaJars();
  if ("missing" in jars) return { kind: "missing", why: jars.missing };
  const note = join(run, "kafka.json");
  try {
    mkdirSync(join(run, "kafka-starting"));
  } catch {
    return { kind: "ready", brokers: (await noted(note)).brokers };
  }
  const broker = await startKafka({ directory: join(run, "kafka") });
  writeFileSync(`${note}.new`, JSON.stringify({ brokers: broker.brokers, pid: broker.pid() }));
  renameSync(`${note}.new`, note);
  return { kind: "ready", brokers: broker.brokers };
}

/** For the global teardown. */
export async function stopSharedKafka(run: string): Promise<void> {
  if (!existsSync(join(run, "kafka-starting"))) return;
  const pidFile = join(run, "kafka", "pid");
  if (existsSync(pidFile)) await end(Number(readFileSync(pidFile, "utf8")), "SIGKILL");
}

export async function startKafka(options: KafkaOptions = {}): Promise<KafkaBroker> {
  const jars = await kafkaJars();
  if ("missing" in jars) throw new Error(jars.missing);
  const directory = options.directory ?? mkdtempSync(join(tmpdir(), "tailrace-kafka-"));
  mkdirSync(directory, { recursive: true });
  const [freePort = 0, controllerPort = 0] = await freePorts(2);
  const port = options.port ?? freePort;
  const classpath = `${jars.folder}/*`;
  const broker = new Broker({ directory, port, classpath, keep: options.directory !== undefined });
  writeFileSync(
    join(directory, "server.properties"),
    properties({ directory, port, controllerPort, advertisedPort: options.advertisedPort ?? port }, options.properties ?? []),
  );
  try {
    await broker.format();
    await broker.restart();
  } catch (error) {
    await broker.stop();
    throw error;
  }
  return broker;
}

class Broker implements KafkaBroker {
  readonly brokers: readonly string[];
  readonly directory: string;
  #pid = 0;

  constructor(private readonly made: { directory: string; port: number; classpath: string; keep: boolean }) {
    this.brokers = [`127.0.0.1:${made.port}`];
    this.directory = made.directory;
  }

  pid(): number {
    return this.#pid;
  }

  async format(): Promise<void> {
    // One that begins with a dash would be taken for an option.
    const id = `A${randomBytes(16).toString("base64url").slice(1)}`;
    const child = this.#java(["-Xmx128m", "-XX:TieredStopAtLevel=1"], "kafka.tools.StorageTool", [
      "format",
      "-t",
      id,
      "-c",
      "server.properties",
      "-g",
    ]);
    const status = await new Promise<number | null>((resolve, reject) => child.once("exit", resolve).once("error", reject));
    if (status !== 0) throw new Error(`the broker's storage could not be formatted: ${this.#said()}`);
  }

  async restart(): Promise<void> {
    const child = this.#java(["-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"], "kafka.Kafka", ["server.properties"]);
    child.unref();
    this.#pid = child.pid ?? 0;
    writeFileSync(join(this.directory, "pid"), String(this.#pid));
    guard(this.#pid);
    const deadline = Date.now() + startPatienceMs;
    while (!(await answers(this.brokers))) {
      if (!isAlive(this.#pid) || Date.now() > deadline) throw new Error(`the broker did not start: ${this.#said()}`);
      await sleep(50);
    }
  }

  kill(): Promise<void> {
    return end(this.#pid, "SIGKILL");
  }

  freeze(): void {
    process.kill(this.#pid, "SIGSTOP");
  }

  thaw(): void {
    process.kill(this.#pid, "SIGCONT");
  }

  configure(lines: readonly string[]): void {
    appendFileSync(join(this.directory, "server.properties"), `${lines.join("\n")}\n`);
  }

  async stop(): Promise<void> {
    await end(this.#pid, "SIGTERM");
    if (!this.made.keep) rmSync(this.directory, { recursive: true, force: true });
  }

  #java(flags: readonly string[], main: string, args: readonly string[]): ReturnType<typeof spawn> {
    const log = [`-Dorg.slf4j.simpleLogger.defaultLogLevel=warn`, `-Dorg.slf4j.simpleLogger.logFile=${join(this.directory, "kafka.log")}`];
    // Detached: Ctrl-C in a terminal stops the run first, and the run stops the broker.
    return spawn("java", [...flags, "-cp", this.made.classpath, ...log, main, ...args], {
      cwd: this.directory,
      stdio: "ignore",
      detached: true,
    });
  }

  #said(): string {
    const log = join(this.directory, "kafka.log");
    return existsSync(log) ? readFileSync(log, "utf8").slice(-2_000) : "it said nothing";
  }
}

interface Place {
  readonly directory: string;
  readonly port: number;
  readonly controllerPort: number;
  readonly advertisedPort: number;
}

function properties({ directory, port, controllerPort, advertisedPort }: Place, more: readonly string[]): string {
  return [
    "process.roles=broker,controller",
    "node.id=1",
    `controller.quorum.voters=1@127.0.0.1:${controllerPort}`,
    `listeners=PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    `advertised.listeners=PLAINTEXT://127.0.0.1:${advertisedPort}`,
    "controller.listener.names=CONTROLLER",
    "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    `log.dirs=${join(directory, "data")}`,
    "offsets.topic.replication.factor=1",
    "offsets.topic.num.partitions=1",
    "transaction.state.log.replication.factor=1",
    "transaction.state.log.min.isr=1",
    "transaction.state.log.num.partitions=1",
    "share.coordinator.state.topic.replication.factor=1",
    "share.coordinator.state.topic.min.isr=1",
    "share.coordinator.state.topic.num.partitions=1",
    "group.initial.rebalance.delay.ms=0",
    "num.partitions=1",
    "auto.create.topics.enable=false",
    "log.cleaner.dedupe.buffer.size=16777216",
    // With the defaults a killed broker that starts again waits 9 s for its own old registration to end. Much less, and one that a busy machine
    // holds up is taken for dead by itself, and has no partition for anybody until its next heartbeat.
    "broker.session.timeout.ms=3000",
    "broker.heartbeat.interval.ms=200",
    ...more,
    "",
  ].join("\n");
}

async function answers(brokers: readonly string[]): Promise<boolean> {
  const kafka = new Kafka({
    brokers: [...brokers],
    logLevel: logLevel.NOTHING,
    retry: { retries: 0 },
    connectionTimeout: 1_000,
  });
  const admin = kafka.admin();
  try {
    await admin.connect();
    // It counts itself only once it leads its partitions again.
    const { brokers: counted } = await admin.describeCluster();
    await admin.listTopics();
    return counted.length > 0;
  } catch {
    return false;
  } finally {
    await admin.disconnect();
  }
}

/** Kills the broker when the test run is no more; ends by itself when the broker is gone. */
function guard(pid: number): void {
  const owner = process.env.TAILRACE_TEST_OWNER ?? String(process.pid);
  const script = `while kill -0 ${pid} 2>/dev/null; do kill -0 ${owner} 2>/dev/null || kill -9 ${pid}; sleep 1; done`;
  spawn("sh", ["-c", script], { stdio: "ignore", detached: true }).unref();
}

async function noted(note: string): Promise<{ readonly brokers: readonly string[] }> {
  const deadline = Date.now() + 2 * startPatienceMs;
  while (!existsSync(note)) {
    if (Date.now() > deadline) throw new Error("the test file that starts the shared broker did not come to an end with it");
    await sleep(50);
  }
  return JSON.parse(readFileSync(note, "utf8")) as { readonly brokers: readonly string[] };
}

async function end(pid: number, signal: "SIGTERM" | "SIGKILL"): Promise<void> {
  if (pid === 0 || !isAlive(pid)) return;
  process.kill(pid, signal);
  const deadline = Date.now() + 10_000;
  while (isAlive(pid)) {
    if (Date.now() > deadline) process.kill(pid, "SIGKILL");
    await sleep(20);
  }
}
