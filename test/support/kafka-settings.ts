import type { KafkaSettings } from "../../core/settings.js";

export const kafkaSettings = (brokers: readonly string[]): KafkaSettings => ({
  kind: "kafka",
  brokers,
  tls: null,
  sasl: null,
  replicationFactor: -1,
  registry: null,
});
