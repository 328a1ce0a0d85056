/** The application, writing, is switched over to PostgreSQL, and says itself how long it could not write. */
import { Connection } from "../../connectors/postgres/connection.js";
import { parseConnectionUrl } from "../../connectors/postgres/connection-url.js";
import { TailraceError } from "../../core/errors.js";
import type { Settings } from "../../core/settings.js";
import { runCutover } from "../../services/cutover/run-cutover.js";
import { formatCount, formatMs } from "../output/format.js";
import { prove } from "../cutover/prove.js";
import { firstGroup, limitsOfPause, withCutoverOf } from "../cutover/open.js";
import { wealth } from "./shop-database.js";
import { RoutedApplication } from "./routed-application.js";

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
    { settings, limits: limitsOfPause(maxPauseMs), tell: () => {}, wayBack: true, groupOf: firstGroup },
    signal,
    async ({ parts, url, verifier }) => {
      await using application = RoutedApplication.start(options, url.reveal());
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
        pauseMs: application.pauseMs("source", "target"),
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

async function isWhole(url: string, transactions: readonly number[]): Promise<boolean> {
  await using connection = await Connection.open(parseConnectionUrl(url), { applicationName: "tailrace demo", pipelined: false });
  const [row] = await connection.rows<{ found: number; sum: string }>(
    "SELECT (SELECT count(*)::int FROM transfers WHERE id = ANY ($1::bigint[])) AS found, (SELECT sum(balance)::text FROM customers) AS sum",
    [transactions],
  );
  return row?.found === transactions.length && row.sum === String(wealth);
}
