// A process of its own that appends numbered records one by one: node append-numbered.mjs SETTINGS-AS-JSON TOPIC COUNT
import { openEmbeddedLog } from "../../dist/connectors/embedded-log/embedded-log.js";
import { openKafkaLog } from "../../dist/connectors/kafka/kafka-log.js";

const [settingsText, topic, count] = process.argv.slice(2);
const settings = JSON.parse(settingsText);
const signal = AbortSignal.timeout(40_000);
const store =
  settings.kind === "embedded" ? await openEmbeddedLog(settings) : await openKafkaLog(settings, { clientId: "append-numbered" });
const appender = await store.appender(signal);
for (let number = 0; number < Number(count); number++) {
  const value = Buffer.from(String(number));
  await appender.append([{ topic, partition: 0, key: null, value, headers: [] }], signal);
}
await appender[Symbol.asyncDispose]();
await store[Symbol.asyncDispose]();
