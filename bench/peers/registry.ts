/** Apicurio Registry with its Confluent API, which our source writes to, and its own, which the converter reads. Keeps its schemas in memory. */
import { join } from "node:path";
import { freePorts } from "../../test/support/ports.js";
import { JavaProcess } from "./java-process.js";
import type { PeerParts } from "./parts.js";

export interface PeerRegistry extends AsyncDisposable {
  /** For settings of ours. */
  readonly confluentUrl: string;
  /** For the converter. */
  readonly apicurioUrl: string;
}

export async function startRegistry(parts: PeerParts, folder: string): Promise<PeerRegistry> {
  const [port = 0] = await freePorts(1);
  const base = `http://127.0.0.1:${port}/apis`;
  const args = ["-Xmx512m", `-Dquarkus.http.port=${port}`, "-Dquarkus.http.host=127.0.0.1", "-jar", "quarkus-run.jar"];
  const server = new JavaProcess("Apicurio Registry", {
    java: parts.newerJava,
    args,
    folder: parts.registry,
    log: join(folder, "registry.log"),
  });
  const confluentUrl = `${base}/ccompat/v7`;
  try {
    await server.until(async () => (await fetch(`${confluentUrl}/subjects`)).ok);
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
  return { confluentUrl, apicurioUrl: `${base}/registry/v2`, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}
