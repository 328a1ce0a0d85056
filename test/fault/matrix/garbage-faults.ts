/** Records in our topics that we have not written, or not so. */
import { randomBytes, randomInt } from "node:crypto";
import type { ErrorCode } from "../../../core/errors.js";
import type { FaultArea, FaultCase } from "./fault-case.js";
import type { Ground } from "./ground.js";
import { type BrokerChain, brokerPassing, KafkaGround } from "./kafka-ground.js";

type Bytes = { readonly key: Buffer | null; readonly value: Buffer };
const passing: readonly ErrorCode[] = [...brokerPassing, "log.tail-lost", "log.cut-voided"];

/** `make`: from the newest record of ours. */
function garbage(what: string, code: ErrorCode, make: (ours: Bytes) => Bytes): FaultCase<KafkaGround> {
  return {
    fault: `${what} in a table's topic`,
    does: "the sink stops in front of it; the source's next start leaves it behind, and the sink goes on",
    codes: [code],
    run: async (on) => {
      const { ground } = on;
      await ground.write(5);
      await ground.caughtUp();
      await on.produce("tx_ledger", [make(await on.newest("tx_ledger"))]);
      await ground.stops("sink", code);
      await startAgain(ground);
      await ground.write(5);
    },
  };
}

/** Nobody needs to do anything: the source's next answer tells it that it is not alone. */
function passed(
  what: string,
  topic: string,
  make: (ours: Bytes) => readonly { readonly key: Buffer | null; readonly value: Buffer | null }[],
): FaultCase<KafkaGround> {
  return {
    fault: what,
    does: "it counts for nothing; the source begins a new session where it finds that somebody else has written",
    codes: [],
    run: async (on) => {
      const { ground } = on;
      await ground.write(5);
      await ground.caughtUp();
      await on.produce(topic, make(await on.newest(topic)));
      await ground.write(20);
    },
  };
}

/** As the remedy says: the source first. */
async function startAgain(ground: Ground): Promise<void> {
  await ground.stop("source");
  await ground.start("source");
  await ground.atWork("source");
  await ground.start("sink");
}

const first = (byte: number, { key, value }: Bytes): Bytes => ({ key, value: Buffer.concat([Buffer.from([byte]), value.subarray(1)]) });

const cases: readonly FaultCase<KafkaGround>[] = [
  garbage("A record of ours that ends too early", "log.garbage", ({ key, value }) => ({ key, value: value.subarray(0, -3) })),
  {
    ...garbage("A record of ours with bytes behind it", "log.garbage", ({ key, value }) => ({
      key,
      value: Buffer.concat([value, Buffer.from("x")]),
    })),
    long: true,
  },
  // Not the byte that ours begin with: one in 256 would be taken for a record with a schema number that nobody has registered, which is a case of its own.
  garbage("Random bytes", "log.garbage", () => first(randomInt(1, 256), { key: randomBytes(8), value: randomBytes(200) })),
  { ...garbage("A record with another magic byte", "log.garbage", (ours) => first(7, ours)), long: true },
  { ...garbage("A record without a single byte", "log.garbage", ({ key }) => ({ key, value: Buffer.alloc(0) })), long: true },
  garbage("A record with a schema number that nobody has registered", "registry.unknown-schema", ({ key, value }) => {
    const unknown = Buffer.from(value);
    unknown.writeUInt32BE(123_456_789, 1);
    return { key, value: unknown };
  }),
  {
    ...garbage("JSON of a foreign producer", "log.garbage", () => ({
      key: Buffer.from("7"),
      value: Buffer.from('{"id": 7, "kind": "theirs"}'),
    })),
    long: true,
  },
  { ...garbage("A key where a row should be", "log.garbage", ({ key }) => ({ key, value: key ?? Buffer.alloc(1) })), long: true },
  {
    // Its producer lives in this process as well, and keeps the loop for so long that the sink's lock may be lost.
    ...garbage("A record as large as the topic takes", "log.garbage", () => ({
      key: null,
      value: Buffer.alloc(8 * 1024 * 1024 - 4_096, 3),
    })),
    codes: ["log.garbage", "target.unavailable"],
    long: true,
  },
  {
    fault: "A record of another table in a table's topic",
    does: "the sink stops in front of it; the source's next start leaves it behind, and the sink goes on",
    codes: ["log.garbage"],
    run: async (on) => {
      const { ground } = on;
      await ground.write(40);
      await ground.caughtUp();
      await on.produce("tx_ledger", [await on.newest("account")]);
      await ground.stops("sink", "log.garbage");
      await startAgain(ground);
      await ground.write(5);
    },
  },
  {
    fault: "Random bytes between rows, while the sink is away",
    does: "the source's next answer tells it; its new start leaves them behind before the sink has seen them",
    codes: [],
    long: true,
    run: async (on) => {
      const { ground } = on;
      await ground.stop("sink");
      await ground.write(5);
      await on.produce("tx_ledger", [{ key: null, value: randomBytes(99) }]);
      await ground.write(20);
      await ground.says("source", "log.append-failed", "log.tail-lost");
      await ground.atWork("source");
      await ground.start("sink");
    },
  },
  passed("Records without a value, by a foreign producer", "tx_ledger", ({ key }) => [
    { key, value: null },
    { key: null, value: null },
  ]),
  passed("A record of ours that somebody repeats", "tx_ledger", (ours) => [ours, ours]),
  passed("A record of ours that somebody repeats under another key", "tx_ledger", ({ value }) => [{ key: Buffer.from("other"), value }]),
  passed("A foreign record in the topic of applied cuts", "applied", () => [{ key: Buffer.from("1"), value: Buffer.from("theirs") }]),
  {
    fault: "A foreign record in the topic of schemas",
    does: "it is passed over: a schema's number is made of its text, so no other can stand for it",
    codes: [],
    run: async (on) => {
      const { ground } = on;
      await on.produce("schemas", [{ key: Buffer.from("1"), value: Buffer.from("theirs") }]);
      await ground.stop();
      await ground.startBoth();
      await ground.write();
    },
  },
  {
    fault: "A foreign record in the topic of cuts",
    does: "source and sink stop: nobody but us may write there",
    codes: ["log.garbage"],
    ends: "stopped",
    run: async (on) => {
      const { ground } = on;
      await on.produce("cuts", [{ key: null, value: Buffer.from("theirs") }]);
      await ground.stops("sink", "log.garbage");
      await ground.write(5);
      await ground.stops("source", "log.garbage");
    },
  },
];

export const garbageFaults = (chain: () => Promise<BrokerChain>): FaultArea<KafkaGround> => ({
  title: "Garbage in topics",
  test: "test/fault/matrix/kafka.test.ts",
  passing,
  cases,
  make: async () => KafkaGround.make(await chain()),
});
