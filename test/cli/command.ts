/** The built command as a process: what it prints and how it ends. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";

export const program = resolve("dist/cli/tailrace.js");

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}
export interface CommandOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

export interface Started {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  /** All of stderr so far, as soon as the word is in it; rejects when the process ends without having said it. */
  readonly says: (word: string) => Promise<string>;
}

export function start(words: readonly string[], options: CommandOptions = {}): Started {
  const child = spawn(process.execPath, [program, ...words], {
    cwd: options.cwd ?? process.cwd(),
    env: { ...process.env, NO_COLOR: "1", ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  return listenTo(child);
}

export function listenTo(child: ChildProcess): Started {
  const said = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name]?.setEncoding("utf8");
    child[name]?.on("data", (text: string) => {
      said[name] += text;
    });
  }
  const ended = once(child, "close").then(
    ([code, signal]): Ended => ({ ...said, code: code as number | null, signal: signal as NodeJS.Signals | null }),
  );
  const says = (word: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (said.stderr.includes(word)) resolve(said.stderr);
      };
      child.stderr?.on("data", look);
      child.once("close", () => reject(new Error(`'${word}' was not said: ${said.stderr}`)));
      look();
    });
  return { child, ended, says };
}

export const tailrace = (words: readonly string[], options: CommandOptions = {}): Promise<Ended> => start(words, options).ended;

/** The one JSON object on stdout. */
export const answerOf = (ended: Ended): Record<string, unknown> => JSON.parse(ended.stdout) as Record<string, unknown>;

/** What a shape is: names and kinds, not values. Arrays are described by their first item. */
export function shapeOf(value: unknown): unknown {
  if (value === null) return "null";
  if (Array.isArray(value)) return value.length === 0 ? [] : [shapeOf(value[0])];
  if (typeof value !== "object") return typeof value;
  return Object.fromEntries(Object.entries(value).map(([name, child]) => [name, shapeOf(child)]));
}
