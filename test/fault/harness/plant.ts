/**
 * A build with a bug in it: a copy of `dist` in which some text was replaced. A text that is not there exactly once fails the test that asked for
 * it, so a bug never turns into no bug when the code moves on.
 */
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface Patch {
  /** In `dist`, without its ending. */
  readonly file: string;
  readonly find: string;
  readonly put: string;
}
/** Entry of the build, and how to be rid of it. */
export interface PlantedBuild extends Disposable {
  readonly command: string;
}

/** Beside `node_modules`, where its imports are found. */
const folder = ".cache/planted";

export function plant(name: string, patches: readonly Patch[]): PlantedBuild {
  const build = join(process.cwd(), folder, `${name.replaceAll(/[^a-z]+/g, "-")}-${process.pid}`);
  cpSync("dist", build, { recursive: true });
  for (const { file, find, put } of patches) {
    const path = join(build, `${file}.js`);
    const text = readFileSync(path, "utf8");
    const times = text.split(find).length - 1;
    if (times !== 1) throw new Error(`${file}: the text to replace is there ${times} times: ${find}`);
    writeFileSync(
      path,
      text.replace(find, () => put),
    );
  }
  return { command: join(build, "cli/tailrace.js"), [Symbol.dispose]: () => rmSync(build, { recursive: true, force: true }) };
}
