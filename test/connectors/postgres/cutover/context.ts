/** A target as it is before a cutover: prepared, streaming, constraints built. Rows come through the target's own door. */
import { openCutoverDesk } from "../../../../connectors/postgres/cutover/desk.js";
import { connectTarget } from "../../../../connectors/postgres/connect.js";
import type { CutoverDesk } from "../../../../core/contracts/cutover.js";
import type { TablePlan } from "../../../../core/contracts/plan.js";
import type { Target } from "../../../../core/contracts/target.js";
import { contractPipeline, never, nothingStale, Owner, planOf } from "../../../contracts/target-fixtures.js";
import { freshDatabase, type TestDatabase } from "../../../support/postgres.js";
import type { WindowOptions } from "../../../support/synthetic-window.js";

export class CutoverPlace implements AsyncDisposable {
  private constructor(
    readonly database: TestDatabase,
    readonly target: Target,
  ) {}

  static async of(tables: readonly TablePlan[], ...parts: WindowOptions["parts"]): Promise<CutoverPlace> {
    const database = await freshDatabase();
    const target = await connectTarget({ url: database.url, pipeline: contractPipeline }, never);
    await target.prepare(planOf(...tables), nothingStale, never);
    await using owner = await Owner.of(target);
    await owner.session.apply(owner.window({ parts, phase: "streaming" }), never);
    await owner.session.finish(never);
    return new CutoverPlace(database, target);
  }

  desk(url = this.database.url): CutoverDesk {
    return openCutoverDesk({ url, pipeline: contractPipeline, takeoverMs: 10_000 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.target[Symbol.asyncDispose]();
    await this.database[Symbol.asyncDispose]();
  }
}
