/**
 * Are these rows at the target, exactly? Both sides go through PostgreSQL's own types and text forms, so equal means equal to whoever reads the table.
 * Finds rows that are missing or differ; rows too many are found by counting.
 */
import type { TablePlan } from "../../../core/contracts/plan.js";
import type { TargetRow } from "../../../core/mapping/mapped.js";
import { Secret } from "../../../core/secret.js";
import { Connection } from "../connection.js";
import { parseConnectionUrl } from "../connection-url.js";
import { withTargetErrors } from "../pg-errors.js";
import { qualified, quoteName } from "../quote.js";

export class RowComparer implements AsyncDisposable {
  private constructor(private readonly connection: Connection) {}

  static async open(url: Secret | string): Promise<RowComparer> {
    const settings = parseConnectionUrl(url instanceof Secret ? url.reveal() : url);
    return new RowComparer(await Connection.open(settings, { applicationName: "tailrace-check", pipelined: false }));
  }

  /** Rows in the plan's column order. Answers how many of them are missing or differ. */
  differing(plan: TablePlan, rows: readonly TargetRow[]): Promise<number> {
    const columns = plan.columns.map((column, i) => ({ ...column, value: `s.c${i}::${column.type}` }));
    const keys = columns.filter(({ target }) => plan.key.includes(target));
    const compared = columns.filter(({ written }) => written === "always");
    const text = `SELECT count(*)::int AS n FROM unnest(${columns.map((_, i) => `$${i + 1}::text[]`).join(", ")}) AS s (${columns.map((_, i) => `c${i}`).join(", ")})
      LEFT JOIN ${qualified(plan.target)} AS t ON ${keys.map(({ target, value }) => `t.${quoteName(target)} = ${value}`).join(" AND ")}
      WHERE t.${quoteName(plan.key[0])} IS NULL
        OR (${compared.map(({ target }) => `t.${quoteName(target)}::text COLLATE "C"`).join(", ")})
           IS DISTINCT FROM (${compared.map(({ value }) => `(${value})::text COLLATE "C"`).join(", ")})`;
    const values = columns.map((_, i) => rows.map((row) => row[i] ?? null));
    return withTargetErrors(async () => (await this.connection.rows<{ n: number }>(text, values))[0]?.n ?? 0);
  }

  count(plan: TablePlan): Promise<number> {
    return withTargetErrors(async () => {
      const [row] = await this.connection.rows<{ n: string }>(`SELECT count(*) AS n FROM ${qualified(plan.target)}`);
      return Number(row?.n ?? 0);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.connection[Symbol.asyncDispose]();
  }
}
