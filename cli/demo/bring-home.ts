/** The end of the demo: the application, writing in PostgreSQL, is brought home to its file, with everything that it wrote there. */
import { openDatabase } from "../../connectors/sqlite/database.js";
import { TailraceError } from "../../core/errors.js";
import { runCutover } from "../../services/cutover/run-cutover.js";
import { firstGroup, limitsOfPause, withCutoverOf } from "../cutover/open.js";
import { formatCount, formatMs } from "../output/format.js";
import { RoutedApplication, type RoutedOptions } from "./routed-application.js";
import { wealth } from "./shop-database.js";

export interface BroughtHome {
  /** As the application saw it: from its last success in PostgreSQL to its first in the file. */
  readonly pauseMs: number;
  /** As the tool measured it, from the route's pause until the file was open. */
  readonly toolPauseMs: number | null;
  readonly transactionsBefore: number;
  readonly transactionsAfter: number;
  /** Everything the application was told is written, is in the file once, and no cent is missing. */
  readonly ok: boolean;
}

const written = 100;
/** A slow machine must not end the demo. */
const maxPauseMs = 60_000;

export async function bringHome(
  options: RoutedOptions & { readonly say: (text: string) => void },
  signal: AbortSignal,
): Promise<{ readonly said: string; readonly value: BroughtHome }> {
  const { settings, file, say } = options;
  return await withCutoverOf(
    { settings, limits: limitsOfPause(maxPauseMs), tell: () => {}, wayBack: true, groupOf: firstGroup },
    signal,
    async ({ parts, url }) => {
      await using application = RoutedApplication.start(options, url.reveal());
      await application.until("target", written, signal);
      say("canary, fence, drain, compare, switch");
      const outcome = await runCutover(parts, "rollback", () => Promise.resolve(), signal);
      if (outcome.kind !== "switched") {
        const why = "error" in outcome ? outcome.error.message : outcome.kind;
        throw new TailraceError("internal", { what: `The demo's rollback was not made: ${why}` });
      }
      await application.until("source", written, signal);
      await application.stop();
      const value = {
        pauseMs: application.pauseMs("target", "source"),
        toolPauseMs: outcome.pauseMs,
        transactionsBefore: application.count("target"),
        transactionsAfter: application.count("source"),
        ok: isWhole(file, application.transactions()),
      };
      const said = `the application could not write for ${formatMs(value.pauseMs)}, then went on in its file: ${formatCount(value.transactionsBefore)} commits came back with it`;
      return { said, value };
    },
  );
}

function isWhole(file: string, transactions: readonly number[]): boolean {
  const database = openDatabase(file, { readonly: true });
  try {
    const found = database.prepare("SELECT count(*) FROM transfers WHERE id = ?").pluck();
    const sum = database.prepare("SELECT sum(balance) FROM customers").pluck().get();
    return transactions.every((id) => found.get(id) === 1) && sum === Number(wealth);
  } finally {
    database.close();
  }
}
