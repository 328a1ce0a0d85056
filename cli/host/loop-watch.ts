/**
 * Notices from outside that the event loop does not turn any more: whatever has happened, this process does nothing for anybody, and it cannot say so
 * itself. A thread of its own counts the loop's turns. Promises: a process whose loop has not turned for `stuckMs`, and has worked all the same, says
 * `process.stuck` on stderr and is killed, so that whoever supervises it starts it again. One that only waits (for a disk that others keep busy, or for a
 * core) is left to wait `waitingFactor` times as long: a new process would begin the same wait anew. One that was stopped (SIGSTOP, a suspended
 * machine) is left alone, since then nobody counts.
 */
import { Worker } from "node:worker_threads";
import { catalogue } from "../../core/error-catalogue.js";

const turnMs = 500;
/** Far above the longest statement that runs in the loop: SQLite is asked synchronously. */
const stuckMsDefault = 20_000;
/** Of the time in which the loop does not turn, at least this part is the process's own work when it goes round in circles. */
const workingPart = 0.5;
const waitingFactor = 15;

export interface LoopWatch {
  stop(): void;
}

/** `stuckMs`: for tests. */
export function watchLoop(service: string, stuckMs = stuckMsDefault): LoopWatch {
  const turns = new Int32Array(new SharedArrayBuffer(4));
  const line = JSON.stringify({
    level: "error",
    service,
    event: "process.stuck",
    code: "process.stuck",
    msg: `The event loop has not turned for at least ${stuckMs / 1_000} s. ${catalogue["process.stuck"].remedy} [process.stuck]`,
  });
  const worker = new Worker(script, {
    eval: true,
    workerData: { turns, everyMs: turnMs, most: Math.ceil(stuckMs / turnMs), workMs: stuckMs * workingPart, waitingFactor, line },
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 4 },
  });
  worker.unref();
  const turning = setInterval(() => Atomics.add(turns, 0, 1), turnMs / 2);
  turning.unref();
  return {
    stop: () => {
      clearInterval(turning);
      void worker.terminate();
    },
  };
}

/** It can ask nothing of the main thread, not even to write: the line goes to the descriptor. */
const script = `
  const { writeSync } = require("node:fs");
  const { workerData: { turns, everyMs, most, workMs, waitingFactor, line } } = require("node:worker_threads");
  const workedMs = () => { const { user, system } = process.cpuUsage(); return (user + system) / 1_000; };
  let [seen, still, before] = [-1, 0, 0];
  setInterval(() => {
    const now = Atomics.load(turns, 0);
    if (now !== seen) [seen, still, before] = [now, 0, workedMs()];
    else still += 1;
    if (still < most || (workedMs() - before < workMs && still < most * waitingFactor)) return;
    try { writeSync(2, line + "\\n"); } finally { process.kill(process.pid, "SIGKILL"); }
  }, everyMs);
`;
