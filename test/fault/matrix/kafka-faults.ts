/** What a broker, its disk, its administrator and the network do to source and sink. */
import type { Fate } from "../../support/kafka-proxy.js";
import { until } from "../../support/oracles/until.js";
import type { Toxic } from "../../support/tcp-proxy.js";
import type { FaultArea, FaultCase } from "./fault-case.js";
import { livenessMs } from "./ground.js";
import { type BrokerChain, brokerPassing, KafkaGround } from "./kafka-ground.js";
import { whileWaiting } from "./waiting.js";

/** Produce requests meet their fate while the application writes, and for so many of them. */
function produceFate(fault: string, fate: (n: number) => Fate, atLeast: number): FaultCase<KafkaGround> {
  return {
    fault,
    does: "the target gets every transaction once; the source begins a new session wherever an answer does not prove what is stored",
    codes: [],
    run: async ({ ground, chain }) => {
      const before = chain.produce.lost;
      let n = 0;
      chain.produce.decide = () => fate(++n);
      await ground.writing(200);
      await until(
        () => chain.produce.lost - before >= atLeast,
        livenessMs(),
        () => `only ${chain.produce.lost - before} were hit\n${ground.describe()}`,
      );
      await ground.application.stop();
      chain.produce.decide = () => "pass";
    },
  };
}

/** The broker is killed, its newest records are gone, and it starts again. */
function lostTail(fault: string, which: (name: string) => boolean): FaultCase<KafkaGround> {
  return {
    fault,
    ...(which("cuts") && which("rows") ? {} : { long: true }),
    does: "the source finds out and fills the log again from its own",
    codes: [],
    run: async (on) => {
      const { ground, chain } = on;
      await ground.write(60);
      await ground.caughtUp();
      await chain.broker.kill();
      if (on.loseTails(3_000, which) === 0) throw new Error("nothing was cut off");
      await ground.write(20);
      await chain.broker.restart();
    },
  };
}

function slow(fault: string, toxic: Toxic): FaultCase<KafkaGround> {
  return {
    fault,
    does: "everything arrives later",
    codes: [],
    strict: true,
    run: async ({ ground, chain }) => {
      // Every table's schema is registered: that takes many questions one after the other, each as late as the others.
      await ground.write(60);
      await ground.caughtUp();
      chain.bytes.toxic = toxic;
      await ground.write(5);
      await ground.caughtUp();
      chain.bytes.toxic = { kind: "clear" };
    },
  };
}

function silence(fault: string, from: "client" | "server" | "both", existing: boolean): FaultCase<KafkaGround> {
  return {
    fault,
    ...(from === "server" ? {} : { long: true }),
    does: "source and sink say within 30 s that the broker is away, wait without haste and go on",
    codes: [],
    run: async ({ ground, chain }) => {
      await whileWaiting(ground, chain.bytes, async () => {
        chain.bytes.toxic = { kind: "silent", from };
        if (!existing) chain.bytes.reset();
        await ground.write(10);
        await ground.says("source", "log.unavailable", "log.append-failed");
        await ground.says("sink", "log.unavailable");
      });
      chain.bytes.toxic = { kind: "clear" };
    },
  };
}

const brokerCases: readonly FaultCase<KafkaGround>[] = [
  produceFate(
    "Answers to produce requests are lost, and requests before the broker has them",
    (n) => (n % 7 === 3 ? "drop-answer" : n % 7 === 5 ? "drop-request" : "pass"),
    12,
  ),
  produceFate("Every produce request arrives twice", () => "double", 12),
  produceFate("Answers to produce requests come two seconds late", (n) => (n % 3 === 0 ? "late" : "pass"), 3),
  produceFate("The answer to a produce request never comes, though the records are stored", (n) => (n === 3 ? "swallow" : "pass"), 1),
  {
    fault: "The broker is frozen (SIGSTOP) and goes on later",
    long: true,
    does: "source and sink say within 30 s that it is away, and go on",
    codes: [],
    run: async ({ ground, chain }) => {
      chain.broker.freeze();
      await ground.write(10);
      await ground.says("source", "log.unavailable", "log.append-failed");
      await ground.says("sink", "log.unavailable");
      chain.broker.thaw();
    },
  },
  {
    fault: "The broker is killed and starts again on the same directory",
    long: true,
    does: "source and sink wait and go on",
    codes: [],
    run: async ({ ground, chain }) => {
      await ground.writing();
      await chain.broker.kill();
      await chain.broker.restart();
      await ground.application.stop();
    },
  },
  lostTail("The broker loses the newest records of every topic", () => true),
  lostTail("The broker loses the newest cuts, but no rows", (name) => name === "cuts"),
  lostTail("The broker loses the newest rows, but no cut", (name) => !["cuts", "applied", "schemas"].includes(name)),
  {
    fault: "The broker starts again with a smaller limit for messages",
    does: "topics have the limit that they were made with: nothing changes",
    codes: [],
    run: async ({ ground, chain }) => {
      await chain.broker.kill();
      chain.broker.configure(["message.max.bytes=20000"]);
      await chain.broker.restart();
      ground.sql("INSERT INTO bulk (batch, payload) VALUES (990, hex(randomblob(100000)))");
    },
  },
  {
    fault: "An administrator lowers the limit for messages of a topic",
    does: "the source stops and names the setting; once it is mended, starting it again is enough",
    codes: ["log.topic-settings"],
    run: async (on) => {
      const { ground } = on;
      await on.configure("bulk", { "max.message.bytes": "5000" });
      // A broker obeys a setting a moment after it has answered, and takes large rows until then.
      const refused = (): boolean => {
        if (ground.hasStopped("source")) return true;
        if (ground.relayed() >= ground.newestCaptured())
          ground.sql("INSERT INTO bulk (batch, payload) VALUES (991, hex(randomblob(100000)))");
        return false;
      };
      await until(refused, livenessMs(), () => `the broker takes every row\n${ground.describe()}`);
      await ground.stops("source", "log.topic-settings");
      await on.configure("bulk", {});
      await restartWhatStopped(on);
      await ground.write();
    },
  },
  {
    fault: "A table's topic is deleted while everything runs",
    does: "source and sink stop; apply makes it again, and the source fills in what the target lacks",
    codes: ["log.topic-missing"],
    run: async (on) => {
      const { ground } = on;
      await on.remove("tx_ledger");
      await ground.write(10);
      await ground.stops("source", "log.topic-missing");
      await ground.stops("sink", "log.topic-missing");
      await ground.apply();
      await ground.startBoth();
      await ground.write();
    },
  },
  {
    fault: "A table's topic is deleted and made again, empty, while everything runs",
    does: "the source finds out by its next answer and fills in what the target lacks",
    codes: ["log.topic-missing"],
    run: async (on) => {
      const { ground } = on;
      await ground.write(20);
      await on.recreate("tx_ledger");
      await ground.write(20);
      await restartWhatStopped(on);
    },
  },
  {
    fault: "The topic of applied cuts is deleted while everything runs",
    long: true,
    does: "it is only advisory: nothing stops, and apply makes it again",
    codes: ["log.topic-missing"],
    run: async (on) => {
      const { ground } = on;
      await on.remove("applied");
      await ground.write();
      await ground.caughtUp();
      await ground.apply();
      await ground.write();
    },
  },
  {
    fault: "The topic of cuts is deleted while everything runs",
    does: "source and sink stop: with it the log is gone, and the target was filled from it",
    codes: ["log.topic-missing", "log.identity"],
    ends: "stopped",
    run: async (on) => {
      const { ground } = on;
      await on.remove("cuts");
      await ground.write(10);
      await ground.stops("source", "log.topic-missing");
      await ground.stops("sink", "log.topic-missing");
      await ground.apply();
      await ground.startBoth();
      await ground.stops("sink", "log.identity");
    },
  },
];

/** Before the broker had the topic again, or obeyed its setting, a service may have asked for a person once more. */
async function restartWhatStopped({ ground }: KafkaGround): Promise<void> {
  const done = async (): Promise<boolean> => {
    await ground.startBoth();
    const place = await ground.place();
    return place !== null && place.order >= ground.newestCaptured();
  };
  await until(done, livenessMs(), () => `it does not converge\n${ground.describe()}`);
}

const networkCases: readonly FaultCase<KafkaGround>[] = [
  { ...slow("500 ms of latency with jitter to the broker", { kind: "late", ms: 500, jitterMs: 200 }), long: true },
  { ...slow("What is sent to and from the broker arrives in pieces of 100 bytes", { kind: "sliced", bytes: 100 }), long: true },
  {
    // More than one request takes, or nothing would ever arrive.
    fault: "Connections to the broker are reset after 600 kB, again and again",
    does: "nothing is lost and nothing comes twice",
    codes: [],
    long: true,
    run: async ({ ground, chain }) => {
      chain.bytes.toxic = { kind: "resets", afterBytes: 600_000 };
      await ground.write(100);
      await ground.caughtUp();
      chain.bytes.toxic = { kind: "clear" };
    },
  },
  {
    fault: "The network to the broker is away and connections are refused",
    does: "source and sink wait without haste and go on",
    codes: [],
    run: async ({ ground, chain }) => {
      await whileWaiting(ground, chain.bytes, async () => {
        await chain.bytes.down();
        await ground.write(10);
        await ground.says("source", "log.unavailable", "log.append-failed");
        await ground.says("sink", "log.unavailable");
      });
      await chain.bytes.up();
    },
  },
  silence("The broker accepts connections and never answers", "both", false),
  silence("Open connections to the broker carry nothing any more, in either direction", "both", true),
  { ...silence("What the broker answers is lost, what it is sent arrives", "server", true), long: true },
];

const area = (title: string, cases: readonly FaultCase<KafkaGround>[], chain: () => Promise<BrokerChain>): FaultArea<KafkaGround> => ({
  title,
  test: "test/fault/matrix/kafka.test.ts",
  passing: [...brokerPassing, "log.tail-lost", "log.cut-voided", "registry.unavailable"],
  cases,
  make: async () => KafkaGround.make(await chain()),
});

export const kafkaFaults = (chain: () => Promise<BrokerChain>): FaultArea<KafkaGround> => area("Kafka", brokerCases, chain);
export const kafkaNetworkFaults = (chain: () => Promise<BrokerChain>): FaultArea<KafkaGround> =>
  area("Network to the broker", networkCases, chain);
