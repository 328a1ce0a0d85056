import { afterAll } from "vitest";
import { kafkaJars } from "../../support/kafka-jars.js";
import { runFaults } from "./fault-case.js";
import { garbageFaults } from "./garbage-faults.js";
import { kafkaFaults, kafkaNetworkFaults } from "./kafka-faults.js";
import { registryFaults } from "./registry-faults.js";
import { type BrokerChain, startChain } from "./kafka-ground.js";

const jars = await kafkaJars();
const missing = "missing" in jars ? `no Kafka: ${jars.missing}` : null;
let starting: Promise<BrokerChain> | null = null;
const chain = (): Promise<BrokerChain> => (starting ??= startChain());

runFaults(kafkaFaults(chain), missing);
runFaults(garbageFaults(chain), missing);
runFaults(registryFaults(chain), missing);
runFaults(kafkaNetworkFaults(chain), missing);

afterAll(async () => {
  await (await starting)?.[Symbol.asyncDispose]();
});
