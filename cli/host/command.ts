import { fileURLToPath } from "node:url";

/** This very program, for a child of ours: the same Node, the same build. */
export const ownCommand = (...words: readonly string[]): [string, ...string[]] => [
  process.execPath,
  fileURLToPath(new URL("../tailrace.js", import.meta.url)),
  ...words,
];
