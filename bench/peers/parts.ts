/**
 * What the peer is made of: Kafka Connect, Debezium's JDBC sink, an Avro converter and a schema registry, each an ordinary Maven artifact. Resolved
 * once into `.cache/peers`, then used by every run.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { promisify } from "node:util";

export interface PeerParts {
  /** Jars of Kafka Connect. */
  readonly connect: string;
  /** One folder per plugin. */
  readonly plugins: string;
  /** An unpacked Apicurio Registry. */
  readonly registry: string;
  readonly java: string;
  /** The registry's server wants 21 or newer. */
  readonly newerJava: string;
}

export const jdbcSinkVersion = "3.6.0.Final";
const registryVersion = "3.3.3";
const plugin = "org.apache.maven.plugins:maven-dependency-plugin";
const poms = { connect: resolve("bench/peers/connect.pom.xml"), converter: resolve("bench/peers/converter.pom.xml") };
/** Connect has its own of these, and dies with NoSuchMethodError when it meets the converter's older ones. */
const connectsOwn = /^(kafka-clients|connect-api|connect-json)-/;

const run = promisify(execFile);

/** The parts, or one line that says which is missing. */
export async function peerParts(say: (text: string) => void): Promise<PeerParts | { readonly missing: string }> {
  const java = await javaOfAtLeast(17);
  if (java === null) return { missing: "Java 17 or newer (for Kafka Connect) is not installed" };
  const newerJava = await javaOfAtLeast(21);
  if (newerJava === null) return { missing: "Java 21 or newer (for Apicurio Registry) is not installed" };
  const hash = createHash("sha1").update(
    Object.values(poms)
      .map((pom) => readFileSync(pom))
      .join() +
      jdbcSinkVersion +
      registryVersion,
  );
  const folder = resolve(".cache/peers", hash.digest("hex").slice(0, 12));
  if (!existsSync(folder)) {
    if ((await versionOf("mvn")) === null) return { missing: "Maven is not installed" };
    const failed = await resolveInto(folder, say);
    if (failed !== null) return { missing: failed };
  }
  return { connect: join(folder, "connect"), plugins: join(folder, "plugins"), registry: join(folder, "registry"), java, newerJava };
}

async function resolveInto(folder: string, say: (text: string) => void): Promise<string | null> {
  const own = join(resolve(".cache/peers"), `resolving-${process.pid}`);
  const plugins = join(own, "plugins");
  for (const name of ["connect", "registry", "plugins/converter"]) mkdirSync(join(own, name), { recursive: true });
  const steps: readonly (readonly [string, () => Promise<void>])[] = [
    ["org.apache.kafka:connect-runtime", () => jarsOf(poms.connect, join(own, "connect"))],
    ["io.apicurio:apicurio-registry-utils-converter", () => jarsOf(poms.converter, join(plugins, "converter"))],
    [
      `io.debezium:debezium-connector-jdbc:${jdbcSinkVersion}:tar.gz:plugin`,
      () => archive("io.debezium:debezium-connector-jdbc", jdbcSinkVersion, "plugin", plugins),
    ],
    [
      `io.apicurio:apicurio-registry-app:${registryVersion}:tar.gz:all`,
      () => archive("io.apicurio:apicurio-registry-app", registryVersion, "all", join(own, "registry")),
    ],
  ];
  for (const [artifact, step] of steps) {
    say(`resolving ${artifact}`);
    try {
      await step();
    } catch (error) {
      rmSync(own, { recursive: true, force: true });
      return `Maven could not resolve ${artifact}: ${String(error).slice(0, 300)}`;
    }
  }
  for (const jar of readdirSync(join(plugins, "converter"))) if (connectsOwn.test(jar)) rmSync(join(plugins, "converter", jar));
  renameSync(own, folder);
  return null;
}

async function jarsOf(pom: string, folder: string): Promise<void> {
  const args = ["-q", "-B", "-f", pom, `${plugin}:copy-dependencies`, "-DincludeScope=runtime", `-DoutputDirectory=${folder}`];
  await run("mvn", args, { timeout: 300_000 });
}

async function archive(artifact: string, version: string, classifier: string, folder: string): Promise<void> {
  const coordinates = `${artifact}:${version}:tar.gz:${classifier}`;
  const args = ["-q", "-B", `${plugin}:copy`, `-Dartifact=${coordinates}`, `-DoutputDirectory=${folder}`, "-Dmdep.useBaseVersion=true"];
  await run("mvn", args, { timeout: 600_000 });
  const file = join(folder, `${artifact.split(":")[1] ?? ""}-${version}-${classifier}.tar.gz`);
  await run("tar", ["xzf", file, "-C", folder]);
  rmSync(file);
}

/** Of those that are installed, the first that is new enough: on the path, then where Linux distributions put them. */
async function javaOfAtLeast(release: number): Promise<string | null> {
  const installed = existsSync("/usr/lib/jvm") ? readdirSync("/usr/lib/jvm").map((name) => join("/usr/lib/jvm", name, "bin", "java")) : [];
  for (const java of ["java", ...installed.toSorted()]) {
    const version = await versionOf(java);
    if (version !== null && Number(/version "(\d+)/.exec(version)?.[1] ?? 0) >= release) return java;
  }
  return null;
}

async function versionOf(program: string): Promise<string | null> {
  try {
    const { stdout, stderr } = await run(program, ["-version"]);
    return stdout + stderr;
  } catch {
    return null;
  }
}
