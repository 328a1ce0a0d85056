import { execFileSync } from "node:child_process";

/** Processes under test are the built ones: what is tested is what is shipped. */
export function setup(): void {
  execFileSync("node_modules/.bin/tsc", ["-p", "tsconfig.build.json"], { stdio: "inherit" });
}
