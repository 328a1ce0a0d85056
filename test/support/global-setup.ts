import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stopSharedKafka } from "./kafka.js";
import { kafkaJars } from "./kafka-jars.js";
import { releasePorts } from "./ports.js";

let directory = "";

/**
 * Processes under test are the built ones: what is tested is what is shipped. `TAILRACE_TEST_BUILD=keep` takes `dist` as it is.
 * Test files share one broker, which the first that needs it starts; where it runs stands in the run's own directory.
 */
export async function setup(): Promise<void> {
  if (process.env.TAILRACE_TEST_BUILD !== "keep")
    execFileSync("node_modules/.bin/tsc", ["-p", "tsconfig.build.json"], { stdio: "inherit" });
  directory = mkdtempSync(join(tmpdir(), "tailrace-run-"));
  process.env.TAILRACE_TEST_RUN = directory;
  process.env.TAILRACE_TEST_OWNER = String(process.pid);
  releasePorts("gone");
  // The first time Maven loads them for minutes, which no test's limit is made for. Without Java or Maven nothing happens here.
  if ((process.env.TAILRACE_TEST_KAFKA ?? "") === "") await kafkaJars();
}

export async function teardown(): Promise<void> {
  await stopSharedKafka(directory);
  releasePorts("mine");
  rmSync(directory, { recursive: true });
}
