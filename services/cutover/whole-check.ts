/**
 * The final check by reading every row of both sides: exact, and as long as the tables are. The verifier's check reads only what changed since it was
 * last proven equal, and takes this one's place where a verifier runs.
 */
import type { FinalCheck } from "../../core/contracts/cutover.js";
import type { TablePlan } from "../../core/contracts/plan.js";
import type { SourceInspector, SourceTable } from "../../core/contracts/source.js";
import { TailraceError } from "../../core/errors.js";
import type { TargetRow } from "../../core/mapping/mapped.js";
import { compileMapping } from "../../core/mapping/table-mapping.js";
import type { Position } from "../../core/vocabulary/position.js";

export interface RowsAtTarget {
  differing(plan: TablePlan, rows: readonly TargetRow[]): Promise<number>;
  count(plan: TablePlan): Promise<number>;
}
export interface WholeCheckOptions {
  readonly inspector: SourceInspector;
  readonly target: RowsAtTarget;
  readonly tables: readonly TablePlan[];
}

export class WholeCheck implements FinalCheck {
  constructor(private readonly options: WholeCheckOptions) {}

  async cost(): Promise<{ readonly dirtyRows: number; readonly dirtyChunks: number; readonly oldestProofMs: number | null }> {
    const pairs = await this.#pairs();
    // Everything is read, so no earlier proof is relied on.
    const dirtyRows = pairs.reduce((sum, { source }) => sum + source.rowsEstimated, 0);
    return { dirtyRows, dirtyChunks: pairs.length, oldestProofMs: 0 };
  }

  advance(): Promise<number> {
    return Promise.resolve(0);
  }

  async check(
    _at: Position,
    signal: AbortSignal,
  ): Promise<{ readonly equal: boolean; readonly rowsRead: number; readonly different: number }> {
    let rowsRead = 0;
    let different = 0;
    for (const { source, plan } of await this.#pairs()) {
      const here = await this.#differing(source, plan, signal);
      const there = await this.options.target.count(plan);
      rowsRead += here.rows;
      different += here.different + Math.abs(there - here.rows);
    }
    return { equal: different === 0, rowsRead, different };
  }

  async #differing(
    source: SourceTable,
    plan: TablePlan,
    signal: AbortSignal,
  ): Promise<{ readonly rows: number; readonly different: number }> {
    const mapping = compileMapping(plan, source.description, "older");
    let rows = 0;
    let different = 0;
    for await (const page of this.options.inspector.rows(source)) {
      signal.throwIfAborted();
      const mapped = page.map((row) => mapping.map(row));
      const good = mapped.flatMap((one) => (one.kind === "row" ? [one.row] : []));
      rows += page.length;
      // A value that the mapping refuses cannot be at the target.
      different += page.length - good.length + (await this.options.target.differing(plan, good));
    }
    return { rows, different };
  }

  async #pairs(): Promise<readonly { readonly source: SourceTable; readonly plan: TablePlan }[]> {
    const { tables } = await this.options.inspector.catalog();
    return this.options.tables.map((plan) => {
      const source = tables.find(({ description }) => description.table === plan.source);
      if (source === undefined) {
        throw new TailraceError("plan.changed", { what: "A planned table is not in the source", where: { table: plan.source } });
      }
      return { source, plan };
    });
  }
}
