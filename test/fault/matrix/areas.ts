/** All areas of the matrix, as docs/faults.md prints them. */
import { captureFaults } from "./capture-faults.js";
import { diskFaults } from "./disk-faults.js";
import type { FaultArea } from "./fault-case.js";
import { garbageFaults } from "./garbage-faults.js";
import { kafkaFaults, kafkaNetworkFaults } from "./kafka-faults.js";
import { networkFaults } from "./network-faults.js";
import { postgresFaults } from "./postgres-faults.js";
import { processFaults } from "./process-faults.js";
import { registryFaults } from "./registry-faults.js";
import { sourceFileFaults } from "./source-file-faults.js";

export type PrintedArea = Pick<FaultArea, "title" | "test" | "passing"> & { readonly cases: readonly PrintedCase[] };
export type PrintedCase = Pick<FaultArea["cases"][number], "fault" | "does" | "codes" | "long" | "root">;

const noBroker = (): never => {
  throw new Error("areas are only printed here");
};

export const areas: readonly PrintedArea[] = [
  kafkaFaults(noBroker),
  garbageFaults(noBroker),
  kafkaNetworkFaults(noBroker),
  registryFaults(noBroker),
  postgresFaults,
  networkFaults,
  sourceFileFaults,
  captureFaults,
  diskFaults,
  processFaults,
];

/** Faults that other suites drive. */
export const elsewhere: readonly (Pick<PrintedCase, "fault" | "does" | "codes"> & { readonly test: string })[] = [
  {
    fault: "Any process is killed or frozen at any moment, its successor beside it",
    does: "nothing is lost, doubled or half shown",
    codes: [],
    test: "test/fault/kills.test.ts",
  },
  {
    fault: "PostgreSQL or the broker is away for long",
    does: "services wait, say so and catch up",
    codes: ["target.unavailable", "log.unavailable"],
    test: "test/fault/outages.test.ts",
  },
  {
    fault: "Yesterday's backup is put in the file's place while everything is stopped",
    does: "everything is read again, deletions included",
    codes: [],
    test: "test/fault/remedies.test.ts",
  },
  {
    fault: "A table is rebuilt in mid-snapshot; capture triggers become older than the application's",
    does: "the source stops; apply and `snapshot TABLE` heal it",
    codes: ["source.schema-changed"],
    test: "test/fault/remedies.test.ts",
  },
  {
    fault: "The embedded log is gone, the target is gone, the target is older than the log",
    does: "the sink stops with a remedy that works",
    codes: ["log.topic-missing", "log.identity", "log.gap", "plan.missing"],
    test: "test/e2e/places.test.ts",
  },
  {
    fault: "The port of /health is taken; a second source, a second sink",
    does: "the process ends with a code; the second ones stand by",
    codes: ["http.port", "source.locked", "target.standing-by"],
    test: "test/e2e/places.test.ts",
  },
  {
    fault: "The file of the embedded log is locked, damaged, replaced or no log at all",
    does: "each has its code",
    codes: ["log.unavailable", "log.damaged", "log.replaced"],
    test: "test/connectors/embedded-log/embedded-log.test.ts",
  },
  {
    fault: "A producer's error, an answer that never comes, a topic made anew, below the services",
    does: "the producer is thrown away",
    codes: ["log.append-failed"],
    test: "test/connectors/kafka/kafka-faults.test.ts",
  },
  {
    fault: "Two owners of a target; a session that ends in the fence, an upsert, a delete, the counts, COMMIT",
    does: "one window, one time",
    codes: ["target.fenced", "target.undecided"],
    test: "test/connectors/postgres/fencing.test.ts",
  },
];
