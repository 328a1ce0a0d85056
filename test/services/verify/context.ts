/** Verification over a live SQLite file and a real PostgreSQL, without a log between them. */
import { openVerificationStore } from "../../../connectors/postgres/verification-store.js";
import { systemClock } from "../../../core/clock.js";
import type { SourceRequests } from "../../../core/contracts/source.js";
import type { StoredMismatch, VerificationStore } from "../../../core/contracts/verification.js";
import { type TableId, theGroup } from "../../../core/vocabulary/ids.js";
import { keyText } from "../../../core/vocabulary/value.js";
import { type RunResult, type RunOptions, runVerification } from "../../../services/verify/run.js";
import type { Sides } from "../../../services/verify/sides.js";
import { TwoSides } from "../../support/two-sides.js";

export const never = new AbortController().signal;

export class VerifyContext implements AsyncDisposable {
  private constructor(
    readonly two: TwoSides,
    readonly sides: Sides,
    readonly store: VerificationStore,
    readonly requests: SourceRequests,
  ) {}

  static async of(ddl: string, tables?: Parameters<typeof TwoSides.of>[1]): Promise<VerifyContext> {
    return await VerifyContext.over(await TwoSides.of(ddl, tables));
  }

  static async over(two: TwoSides, stallMs = 20_000): Promise<VerifyContext> {
    const source = await two.sourceReader();
    const target = await two.targetReader(source);
    const store = await openVerificationStore({ url: two.database.url, pipeline: two.file.pipeline, group: theGroup }, never);
    const plans = new Map(two.plan.tables.map((table) => [table.source, table]));
    const sides: Sides = { direction: "forward", source, target, changes: source, plans, clock: systemClock, stallMs };
    return new VerifyContext(two, sides, store, two.file.requests());
  }

  get tables(): readonly TableId[] {
    return [...this.sides.plans.keys()];
  }

  async verify(options: Partial<RunOptions> = {}, signal: AbortSignal = never): Promise<RunResult> {
    return await runVerification(
      {
        sides: this.sides,
        store: this.store,
        requests: this.requests,
        kind: "demand",
        holdName: "verify",
        tables: this.tables,
        whole: true,
        rowsPerScope: 500,
        since: null,
        resume: null,
        pace: () => Promise.resolve(),
        onChunk: () => {},
        onProgress: () => {},
        ...options,
      },
      signal,
    );
  }

  async mismatches(): Promise<readonly StoredMismatch[]> {
    return await this.store.mismatches({ table: null, limit: 100_000 }, never);
  }

  /** `table key: kind columns`, sorted. */
  async said(): Promise<readonly string[]> {
    return (await this.mismatches())
      .map(({ table, key, kind, columns }) => `${table} ${keyText(key)}: ${kind}${columns.length === 0 ? "" : ` ${columns.join(",")}`}`)
      .toSorted();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.requests[Symbol.dispose]();
    await this.store[Symbol.asyncDispose]();
    await this.two[Symbol.asyncDispose]();
  }
}
