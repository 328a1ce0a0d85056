/** The jars of a broker: resolved once by Maven into `.cache/kafka`, then used by every run. */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const pom = resolve("test/support/kafka-pom.xml");

/** The folder with the jars, or one line that says why there is none. */
export async function kafkaJars(): Promise<{ readonly folder: string } | { readonly missing: string }> {
  const folder = resolve(".cache/kafka", createHash("sha1").update(readFileSync(pom)).digest("hex").slice(0, 12));
  for (const [program, args] of [["java", ["-version"]], ...(existsSync(folder) ? [] : ([["mvn", ["-version"]]] as const))] as const) {
    const found = await run(program, [...args]).then(
      () => true,
      () => false,
    );
    if (!found) return { missing: `${program} is not installed (set TAILRACE_TEST_KAFKA=host:port to use a broker that runs)` };
  }
  if (existsSync(folder)) return { folder };
  // Two test files may get here at once: each resolves into a folder of its own, and the first to finish gives its name to it.
  const own = join(resolve(".cache/kafka"), `resolving-${process.pid}`);
  mkdirSync(own, { recursive: true });
  const goal = "org.apache.maven.plugins:maven-dependency-plugin:copy-dependencies";
  const args = ["-q", "-B", "-f", pom, goal, "-DincludeScope=runtime", `-DoutputDirectory=${own}`];
  try {
    await run("mvn", args, { timeout: 300_000 });
    renameSync(own, folder);
  } catch (error) {
    rmSync(own, { recursive: true, force: true });
    if (existsSync(folder)) return { folder };
    return { missing: `Maven could not resolve the broker's jars: ${String(error).slice(0, 300)}` };
  }
  return { folder };
}
