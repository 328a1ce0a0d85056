/**
 * Asks PostgreSQL how it prints what a type reads. Only for types whose printed form nobody else knows (interval, inet, arrays, …): the same
 * reading that the sink's writes go through, so that what is hashed is what the column holds.
 */
import type { TargetText } from "../../core/mapping/hashed-row.js";
import { parseType } from "../../core/mapping/postgres-type.js";
import type { Secret } from "../../core/secret.js";
import { Connection } from "./connection.js";
import { parseConnectionUrl } from "./connection-url.js";
import { withTargetErrors } from "./pg-errors.js";

export interface TargetTextAsker extends AsyncDisposable {
  readonly ask: TargetText;
}

/** Connects when it is asked for the first time: most plans never do. */
export function openTargetText(url: Secret): TargetTextAsker {
  let connection: Promise<Connection> | null = null;
  return {
    ask: async (type, texts, signal) => {
      signal.throwIfAborted();
      // The type's text goes into SQL as it is.
      if (parseType(type) === null) throw new Error(`'${type}' has not the form of a type`);
      connection ??= Connection.open(parseConnectionUrl(url.reveal()), { applicationName: "tailrace verify", pipelined: false });
      const open = await connection;
      const text = `SELECT array_agg(u.v::${type}::text ORDER BY u.i) AS texts FROM unnest($1::text[]) WITH ORDINALITY AS u(v, i)`;
      const [row] = await withTargetErrors(() => open.rows<{ texts: (string | null)[] | null }>(text, [[...texts]]));
      return row?.texts ?? [];
    },
    [Symbol.asyncDispose]: async () => {
      if (connection !== null) await (await connection)[Symbol.asyncDispose]();
    },
  };
}
