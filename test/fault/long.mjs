/** Entry of `npm run fault`: hands its options to test/fault/long.test.ts. */
import { spawn } from "node:child_process";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    seed: { type: "string", default: String(1 + Math.floor(Math.random() * 1e6)) },
    faults: { type: "string", default: "30" },
    log: { type: "string", default: "embedded,kafka" },
  },
});
console.log(`npm run fault -- --minutes ${values.minutes} --seed ${values.seed} --faults ${values.faults} --log ${values.log}`);
const child = spawn("node_modules/.bin/vitest", ["run", "test/fault/long.test.ts"], {
  stdio: "inherit",
  env: {
    ...process.env,
    TAILRACE_FAULT_MINUTES: values.minutes,
    TAILRACE_FAULT_SEED: values.seed,
    TAILRACE_FAULT_COUNT: values.faults,
    TAILRACE_FAULT_LOG: values.log,
  },
});
child.once("close", (code) => {
  process.exitCode = code ?? 1;
});
