/** The engine's process as it is shipped, but it kills itself: TAILRACE_DIE_AT is `method:before` or `method:after`, TAILRACE_DIE_NTH which call of it. */
import { DiffEngine } from "../../dist/connectors/duckdb/engine/diff-engine.js";
import { printError } from "../../dist/connectors/duckdb/engine/messages.js";

const [fatal, side] = (process.env.TAILRACE_DIE_AT ?? ":").split(":");
let left = Number(process.env.TAILRACE_DIE_NTH ?? 1);
const engine = new DiffEngine();
let turn = Promise.resolve();
process.on("message", (call) => {
  turn = turn.then(() => serve(call));
});
process.once("disconnect", () => process.exit(0));

async function serve({ id, method, request }) {
  const isFatal = method === fatal && --left === 0;
  if (isFatal && side === "before") process.kill(process.pid, "SIGKILL");
  let reply;
  try {
    reply = { id, kind: "answer", answer: await engine[method](...request) };
  } catch (thrown) {
    reply = { id, kind: "error", error: printError(thrown) };
  }
  if (isFatal) process.kill(process.pid, "SIGKILL");
  process.send(reply);
}
