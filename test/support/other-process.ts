import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Runs a script of test/support in a process of its own and waits for its end; a status other than 0 rejects with what it said. */
export async function runOtherProcess(script: string, ...args: readonly string[]): Promise<void> {
  await run(process.execPath, [`test/support/${script}`, ...args], { timeout: 60_000 });
}
