/** Starts the hostile application (hostile-application.mjs) and keeps what it reported, over several lives if it is killed. */
import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const script = fileURLToPath(new URL("hostile-application.mjs", import.meta.url));

export interface ApplicationReport {
  readonly acknowledged: ReadonlySet<number>;
  readonly rolled: ReadonlySet<number>;
  /** No higher id was ever attempted. */
  readonly attemptedTo: number;
  readonly faults: readonly string[];
  readonly slowestMs: number;
}
export interface RunOptions {
  readonly seed: number;
  /** Transactions a second; 0: as fast as it can. */
  readonly rate?: number;
  /** 0: until stopped. */
  readonly transactions?: number;
  /** Rows of a big transaction. */
  readonly big?: number;
  /** Creates its own triggers at start: after ours. */
  readonly triggers?: boolean;
}

interface SetUp {
  readonly seed: number;
  readonly rows?: number;
  readonly triggers?: boolean;
}
const setUp = (file: string, { seed, rows = 3000, triggers = false }: SetUp): readonly string[] => [
  script,
  "setup",
  file,
  "--seed",
  String(seed),
  "--rows",
  String(rows),
  ...(triggers ? ["--triggers"] : []),
];

export function setUpHostileDatabase(file: string, options: SetUp): void {
  execFileSync(process.execPath, setUp(file, options));
}

/** While services run in this process: on a busy machine they would lose their sessions meanwhile. */
export async function makeHostileDatabase(file: string, options: SetUp): Promise<void> {
  await promisify(execFile)(process.execPath, setUp(file, options));
}

export class HostileApplication implements AsyncDisposable {
  readonly #file: string;
  readonly #acknowledged = new Set<number>();
  readonly #rolled = new Set<number>();
  readonly #faults: string[] = [];
  #highest = 0;
  #slowestMs = 0;
  #child: ChildProcess | null = null;
  #ended: Promise<unknown> = Promise.resolve();

  constructor(file: string) {
    this.#file = file;
  }

  /** Ids that were attempted just before a kill are unknown: the one after the highest reported is allowed. */
  report(): ApplicationReport {
    return {
      acknowledged: this.#acknowledged,
      rolled: this.#rolled,
      attemptedTo: this.#highest + 1,
      faults: this.#faults,
      slowestMs: this.#slowestMs,
    };
  }

  get isRunning(): boolean {
    return this.#child !== null;
  }

  async start(options: RunOptions): Promise<void> {
    if (this.#child !== null) throw new Error("the application runs already");
    const { seed, rate = 0, transactions = 0, big = 5000 } = options;
    const flags = { seed, rate, transactions, big, "first-id": this.#highest + 2 };
    const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)]);
    if (options.triggers === true) args.push("--triggers");
    const child = spawn(process.execPath, [script, "run", this.#file, ...args], { stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    let errors = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (errors += text));
    const lines = createInterface({ input: child.stdout });
    const ready = new Promise<void>((resolve, reject) => {
      lines.on("line", (line) => (line === "ready" ? resolve() : this.#hear(line)));
      child.once("close", () => reject(new Error(`the application did not start: ${errors}`)));
    });
    this.#ended = once(child, "close").then(() => {
      if (errors !== "") this.#faults.push(errors.trim().slice(0, 500));
      this.#child = null;
    });
    await ready;
  }

  /** Resolves when it has ended by itself. */
  async finished(): Promise<void> {
    await this.#ended;
  }

  /** Lets it finish the transaction in hand. */
  async stop(): Promise<void> {
    this.#child?.kill("SIGTERM");
    await this.#ended;
  }

  async kill(): Promise<void> {
    this.#child?.kill("SIGKILL");
    await this.#ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  #hear(line: string): void {
    const [word = "", rest = ""] = line.split(/ (.*)/s);
    if (word === "ack" || word === "rolled") {
      (word === "ack" ? this.#acknowledged : this.#rolled).add(Number(rest));
      this.#highest = Math.max(this.#highest, Number(rest));
    } else if (word === "fault") this.#faults.push(rest);
    else if (word === "done") {
      const done = JSON.parse(rest) as { lastId: number; slowestMs: number };
      this.#highest = Math.max(this.#highest, done.lastId);
      this.#slowestMs = Math.max(this.#slowestMs, done.slowestMs);
    }
  }
}
