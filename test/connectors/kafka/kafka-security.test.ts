/** A broker that wants TLS and a password. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openKafkaLog } from "../../../connectors/kafka/kafka-log.js";
import type { TailraceError } from "../../../core/errors.js";
import { Secret } from "../../../core/secret.js";
import type { KafkaSettings } from "../../../core/settings.js";
import { numbered, patience, randomTopic, rejection, scanAll, spec } from "../../contracts/log-store-host.js";
import { type KafkaBroker, startKafka } from "../../support/kafka.js";
import { freePorts } from "../../support/ports.js";
import { kafkaJars } from "../../support/kafka-jars.js";
import { kafkaSettings } from "../../support/kafka-settings.js";

const jars = await kafkaJars();
const missing = "missing" in jars ? jars.missing : null;

// skipped without Java or Maven: the line says why.
describe.skipIf(missing !== null)(`a Kafka broker with TLS and passwords${missing === null ? "" : ` (${missing})`}`, () => {
  let directory: string;
  let broker: KafkaBroker;
  let secure: KafkaSettings;
  let plaintext: KafkaSettings;

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "tailrace-tls-"));
    const [plain = 0, controller = 0, sasl = 0, clear = 0] = await freePorts(4);
    makeCertificate(directory, "broker");
    makeCertificate(directory, "stranger");
    broker = await startKafka({ properties: listeners(directory, { plain, controller, sasl, clear }), port: plain });
    secure = { ...kafkaSettings([`localhost:${sasl}`]), tls: tls("broker"), sasl: user("scribe-secret") };
    plaintext = { ...kafkaSettings([`127.0.0.1:${clear}`]), sasl: user("scribe-secret") };
  });
  afterAll(async () => {
    await broker?.stop();
    rmSync(directory, { recursive: true });
  });

  const tls = (name: string): NonNullable<KafkaSettings["tls"]> => {
    return { ca: readFileSync(join(directory, `${name}.pem`), "utf8"), cert: null, key: null, verify: true };
  };
  const user = (password: string): NonNullable<KafkaSettings["sasl"]> => ({
    mechanism: "plain",
    username: "scribe",
    password: new Secret(password),
  });

  async function use(settings: KafkaSettings): Promise<string> {
    await using store = await openKafkaLog(settings, { clientId: "security" });
    const topic = randomTopic();
    await store.ensure([spec(topic)], patience());
    await using appender = await store.appender(patience());
    await appender.append(numbered(topic, 0, 2), patience());
    return String((await scanAll(store, topic)).length);
  }
  const refusal = async (settings: KafkaSettings): Promise<TailraceError> => {
    await using store = await openKafkaLog(settings, { clientId: "security" });
    return await rejection(store.bounds([randomTopic()], patience()));
  };

  it("is used with the right CA and password, over TLS and, on this host, without", async () => {
    expect(await use(secure)).toBe("2");
    expect(await use({ ...secure, tls: { ca: null, cert: null, key: null, verify: false } })).toBe("2");
    expect(await use(plaintext)).toBe("2");
  });

  it("stops us by name when it refuses the password or the mechanism, and never tells the password", async () => {
    for (const settings of [
      { ...secure, sasl: user("guess") },
      { ...plaintext, sasl: user("guess") },
      { ...secure, sasl: { ...user("scribe-secret"), mechanism: "scram-sha-256" } as const },
    ]) {
      const error = await refusal(settings);
      expect([error.code, error.verdict]).toEqual(["log.credentials", "stop"]);
      expect(JSON.stringify([error.message, error.where, String(error.cause)])).not.toMatch(/guess|scribe-secret/);
    }
  });

  it("is not trusted without its CA, or under another name", async () => {
    for (const settings of [
      { ...secure, tls: tls("stranger") },
      { ...secure, tls: { ca: null, cert: null, key: null, verify: true } },
      { ...secure, brokers: secure.brokers.map((address) => address.replace("localhost", "127.0.0.1")) },
    ]) {
      const error = await refusal(settings);
      expect([error.code, error.verdict]).toEqual(["log.tls", "stop"]);
    }
  });
});

/** A key store for the broker and its certificate as PEM, made by the JDK's own tool; the name in it is `localhost`. */
function makeCertificate(directory: string, name: string): void {
  const store = ["-keystore", join(directory, `${name}.p12`), "-storetype", "PKCS12", "-storepass", "test-secret"];
  const subject = ["-dname", "CN=localhost", "-ext", "SAN=dns:localhost", "-validity", "30", "-keyalg", "EC", "-groupname", "secp256r1"];
  const quiet = { stdio: "ignore" } as const;
  execFileSync("keytool", ["-genkeypair", "-alias", name, ...subject, ...store], quiet);
  execFileSync("keytool", ["-exportcert", "-rfc", "-alias", name, "-file", join(directory, `${name}.pem`), ...store], quiet);
}

interface Ports {
  readonly plain: number;
  readonly controller: number;
  readonly sasl: number;
  readonly clear: number;
}

function listeners(directory: string, { plain, controller, sasl, clear }: Ports): readonly string[] {
  const login = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_scribe="scribe-secret";';
  return [
    `listeners=PLAINTEXT://127.0.0.1:${plain},CONTROLLER://127.0.0.1:${controller},SAFE://localhost:${sasl},CLEAR://127.0.0.1:${clear}`,
    `controller.quorum.voters=1@127.0.0.1:${controller}`,
    `advertised.listeners=PLAINTEXT://127.0.0.1:${plain},SAFE://localhost:${sasl},CLEAR://127.0.0.1:${clear}`,
    "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SAFE:SASL_SSL,CLEAR:SASL_PLAINTEXT",
    "sasl.enabled.mechanisms=PLAIN",
    `listener.name.safe.plain.sasl.jaas.config=${login}`,
    `listener.name.clear.plain.sasl.jaas.config=${login}`,
    `ssl.keystore.location=${join(directory, "broker.p12")}`,
    "ssl.keystore.type=PKCS12",
    "ssl.keystore.password=test-secret",
    "ssl.key.password=test-secret",
  ];
}
