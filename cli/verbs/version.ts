import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { exits } from "../exit-codes.js";
import type { Verb } from "../invocation.js";

export const verb: Verb = ({ out }) => {
  const version = packageVersion();
  const node = process.versions.node;
  const platform = `${process.platform}-${process.arch}`;
  out.answer({
    kind: "Version",
    data: { version, node, platform },
    next: [],
    text: () => `tailrace ${version}  (node ${node}, ${platform})`,
  });
  return Promise.resolve(exits.done);
};

/** From package.json beside `dist/`, or beside `cli/` when run from source. */
export function packageVersion(): string {
  for (const up of ["../../../package.json", "../../package.json"]) {
    try {
      const parsed = JSON.parse(readFileSync(fileURLToPath(new URL(up, import.meta.url)), "utf8")) as { name?: unknown; version?: unknown };
      if (parsed.name === "tailrace" && typeof parsed.version === "string") return parsed.version;
    } catch {
      // The other place is asked.
    }
  }
  return "unknown";
}
