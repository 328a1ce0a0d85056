/** The end of the demo: the application, writing, is switched over to PostgreSQL, and says itself how long it could not write. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { Connection } from "../../connectors/postgres/connection.js";
import { parseConnectionUrl } from "../../connectors/postgres/connection-url.js";
import { systemClock } from "../../core/clock.js";
import { TailraceError } from "../../core/errors.js";
import type { Settings } from "../../core/settings.js";
import { runCutover } from "../../services/cutover/run-cutover.js";
import { formatCount, formatMs } from "../output/format.js";
import { prove } from "../cutover/prove.js";
import { withCutoverOf } from "../cutover/open.js";
import { wealth } from "./shop-database.js";
import type { WrittenMessage } from "./switching-application.js";

export interface SwitchedOver {
  /** As the application saw it: from its last success in SQLite to its first in PostgreSQL. */
  readonly pauseMs: number;
  /** As the tool measured it, from the route's pause to the switch. */
  readonly toolPauseMs: number | null;
  readonly transactionsBefore: number;
  readonly transactionsAfter: number;
  /** Everything the application was told is written, is there once, and no cent is missing. */
  readonly ok: boolean;
}
export interface SwitchOverOptions {
  readonly settings: Settings;
  readonly file: string;
  readonly firstTransaction: number;
  readonly say: (text: string) => void;
}

const written = 100;
/** A slow machine must not end the demo. */
const maxPauseMs = 60_000;

export async function switchOver(
  options: SwitchOverOptions,
  signal: AbortSignal,
): Promise<{ readonly said: string; readonly value: SwitchedOver }> {
  const { settings, say } = options;
  return await withCutoverOf(
    { settings, limits: { pauseMs: maxPauseMs, leaseMs: maxPauseMs / 4 }, tell: () => {}, wayBack: true },
    signal,
    async ({ parts, url, verifier }) => {
      await using application = new SwitchingApplication(options, url.reveal());
      await application.until("source", written, signal);
      say("comparing both sides, so that little is left for the pause");
      await prove(verifier, 0, signal);
      await parts.check.cost(signal);
      say("fence, drain, compare, switch");
      const outcome = await runCutover(parts, "cutover", () => Promise.resolve(), signal);
      if (outcome.kind !== "switched") {
        const why = "error" in outcome ? outcome.error.message : outcome.kind;
        throw new TailraceError("internal", { what: `The demo's cutover was not made: ${why}` });
      }
      await application.until("target", written, signal);
      await application.stop();
      const value = {
        pauseMs: application.pauseMs(),
        toolPauseMs: outcome.pauseMs,
        transactionsBefore: application.count("source"),
        transactionsAfter: application.count("target"),
        ok: await isWhole(url.reveal(), application.transactions()),
      };
      const said = `the application could not write for ${formatMs(value.pauseMs)}, then went on in PostgreSQL: ${formatCount(value.transactionsAfter)} commits there`;
      return { said, value };
    },
  );
}

class SwitchingApplication implements AsyncDisposable {
  readonly #written: WrittenMessage[] = [];
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;

  constructor({ file, settings, firstTransaction }: SwitchOverOptions, url: string) {
    const program = fileURLToPath(new URL("./switching-application.js", import.meta.url));
    this.#child = spawn(process.execPath, [program, file, settings.pipeline, String(firstTransaction)], {
      env: { ...process.env, TAILRACE_DEMO_URL: url },
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    this.#exited = once(this.#child, "exit");
    this.#child.on("message", (message) => this.#written.push(message as WrittenMessage));
  }

  count(side: WrittenMessage["side"]): number {
    return this.#written.filter((one) => one.side === side).length;
  }

  transactions(): readonly number[] {
    return this.#written.map(({ transaction }) => transaction);
  }

  pauseMs(): number {
    const last = this.#written.findLast(({ side }) => side === "source");
    const first = this.#written.find(({ side }) => side === "target");
    return last === undefined || first === undefined ? Number.NaN : first.wallMs - last.wallMs;
  }

  async until(side: WrittenMessage["side"], count: number, signal: AbortSignal): Promise<void> {
    while (this.count(side) < count) {
      if (this.#child.exitCode !== null)
        throw new TailraceError("internal", { what: "The demo's application ended by an error of its own" });
      await systemClock.delay(20, signal);
    }
  }

  async stop(): Promise<void> {
    if (this.#child.connected) this.#child.send("stop");
    if (this.#child.exitCode === null && this.#child.signalCode === null) await this.#exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.stop();
  }
}

async function isWhole(url: string, transactions: readonly number[]): Promise<boolean> {
  await using connection = await Connection.open(parseConnectionUrl(url), { applicationName: "tailrace demo", pipelined: false });
  const [row] = await connection.rows<{ found: number; sum: string }>(
    "SELECT (SELECT count(*)::int FROM transfers WHERE id = ANY ($1::bigint[])) AS found, (SELECT sum(balance)::text FROM customers) AS sum",
    [transactions],
  );
  return row?.found === transactions.length && row.sum === String(wealth);
}
