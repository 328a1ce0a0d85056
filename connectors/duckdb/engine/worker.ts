/** The process that holds DuckDB: does what it is asked to, one thing after the other, and ends with its parent. */
import { DiffEngine } from "./diff-engine.js";
import { type Call, printError, type Reply } from "./messages.js";
import { HoldEngine } from "../fence/hold-engine.js";
import { ApplyEngine } from "../target/apply-engine.js";
import { ViewEngine } from "./view-engine.js";

const made = {
  compare: () => new DiffEngine(),
  view: () => new ViewEngine(),
  apply: () => new ApplyEngine(),
  hold: () => new HoldEngine(),
};
const kind = process.argv[2];
const engine = made[kind === "view" || kind === "apply" || kind === "hold" ? kind : "compare"]();
let turn: Promise<void> = Promise.resolve();

process.on("message", (call: Call) => {
  turn = turn.then(() => serve(call));
});
// Whoever started it is gone: there is nobody left to work for.
process.once("disconnect", () => process.exit(0));

async function serve({ id, method, request }: Call): Promise<void> {
  let reply: Reply;
  try {
    const methods = engine as unknown as Readonly<Record<string, (...words: readonly unknown[]) => Promise<unknown>>>;
    reply = { id, kind: "answer", answer: await methods[method]?.(...request) };
  } catch (thrown) {
    reply = { id, kind: "error", error: printError(thrown) };
  }
  process.send?.(reply);
}
