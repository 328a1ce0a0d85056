/**
 * Where the time of a profiled process went, by hop: `node .cache/bench/bench/profile.js FOLDER ROWS`. Time inside native code and the
 * runtime is put down to the nearest frame of ours above it, so that a hop's figure holds what it had done for it.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { rounded } from "./report.js";

interface Node {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  readonly children?: readonly number[];
}
interface Profile {
  readonly nodes: readonly Node[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}
interface Spent {
  readonly byHop: Map<string, number>;
  readonly byFunction: Map<string, number>;
}

/** Path below the build, or what stands for it. */
function place({ callFrame }: Node): string | null {
  const { url, functionName } = callFrame;
  if (functionName === "(garbage collector)") return "garbage collection";
  if (functionName === "(idle)") return "idle";
  const own = /\.cache\/bench\/(.*)\.js$|\/dist\/(.*)\.js$/.exec(url);
  if (own !== null) return own[1] ?? own[2] ?? null;
  const foreign = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1];
  return foreign === undefined ? null : `package ${foreign}`;
}

function spentIn({ nodes, samples, timeDeltas }: Profile): Spent {
  const parents = new Map<number, Node>();
  const byId = new Map(nodes.map((node) => [node.id, node]));
  for (const node of nodes) for (const child of node.children ?? []) parents.set(child, node);
  const spent: Spent = { byHop: new Map(), byFunction: new Map() };
  samples.forEach((id, i) => {
    const us = timeDeltas[i] ?? 0;
    let node = byId.get(id);
    while (node !== undefined && place(node) === null) node = parents.get(node.id);
    const hop = node === undefined ? "runtime" : (place(node) ?? "runtime");
    const self = byId.get(id)?.callFrame.functionName ?? "";
    const owner = node?.callFrame.functionName ?? "";
    add(spent.byHop, hop, us);
    add(spent.byFunction, `${hop}: ${owner}${self === owner || self === "" ? "" : ` › ${self}`}`, us);
  });
  return spent;
}

const add = (to: Map<string, number>, name: string, us: number): void => void to.set(name, (to.get(name) ?? 0) + us);

function print(name: string, { byHop, byFunction }: Spent, rows: number): void {
  const largest = (of: ReadonlyMap<string, number>, n: number): readonly (readonly [string, number])[] =>
    [...of].toSorted((a, b) => b[1] - a[1]).slice(0, n);
  const total = [...byHop].filter(([hop]) => hop !== "idle").reduce((sum, [, us]) => sum + us, 0);
  console.log(`\n${name}: ${rounded(total / rows, 2)} µs per row at work, ${rounded((byHop.get("idle") ?? 0) / rows, 2)} idle`);
  for (const [hop, us] of largest(byHop, 18)) console.log(`  ${rounded(us / rows, 2).padStart(8)}  ${hop}`);
  console.log("  by function");
  for (const [what, us] of largest(byFunction, 30)) console.log(`  ${rounded(us / rows, 2).padStart(8)}  ${what}`);
}

const [folder, rowsText = "1"] = process.argv.slice(2);
if (folder !== undefined) {
  for (const name of readdirSync(folder).filter((file) => file.endsWith(".cpuprofile"))) {
    print(name, spentIn(JSON.parse(readFileSync(join(folder, name), "utf8")) as Profile), Number(rowsText.replaceAll("_", "")));
  }
}
