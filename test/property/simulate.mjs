/** Entry of `npm run simulate`: hands its options to test/property/protocol-model.test.ts. */
import { spawn } from "node:child_process";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    scenarios: { type: "string", default: "10000" },
    seed: { type: "string", default: String(1 + Math.floor(Math.random() * 1e6)) },
  },
});
console.log(`npm run simulate -- --scenarios ${values.scenarios} --seed ${values.seed}`);
const child = spawn("node_modules/.bin/vitest", ["run", "test/property/protocol-model.test.ts"], {
  stdio: "inherit",
  env: { ...process.env, TAILRACE_SCENARIOS: values.scenarios, TAILRACE_SEED: values.seed, TAILRACE_TEST_BUILD: "keep" },
});
child.once("close", (code) => {
  process.exitCode = code ?? 1;
});
