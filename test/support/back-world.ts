/** Two sides after a switch: applications write to PostgreSQL, and what they write comes back to the file. Without routes, fences and a log in between. */
import { openWayBackDesk } from "../../connectors/postgres/source/desk.js";
import { openPostgresLeading } from "../../connectors/postgres/source/leading.js";
import { openTargetText } from "../../connectors/postgres/target-text.js";
import { openVerificationStore } from "../../connectors/postgres/verification-store.js";
import { openSqliteFollowing, type SqliteFollowing } from "../../connectors/sqlite/target/follower.js";
import { openSqliteTarget } from "../../connectors/sqlite/target/open-target.js";
import { systemClock } from "../../core/clock.js";
import type { Leading } from "../../core/contracts/row-reader.js";
import type { VerificationStore } from "../../core/contracts/verification.js";
import { Secret } from "../../core/secret.js";
import { markerId, theGroup } from "../../core/vocabulary/ids.js";
import type { Position } from "../../core/vocabulary/position.js";
import { keyText } from "../../core/vocabulary/value.js";
import { backSides } from "../../services/verify/back-sides.js";
import { type RunOptions, type RunResult, runVerification } from "../../services/verify/run.js";
import type { Sides } from "../../services/verify/sides.js";
import { carryBack } from "./carry-back.js";
import { SourceFile } from "./sqlite.js";
import { TwoSides } from "./two-sides.js";

const never = new AbortController().signal;

interface Parts {
  readonly leading: Leading;
  readonly following: SqliteFollowing;
  readonly sides: Sides;
  readonly standing: Sides;
  readonly store: VerificationStore;
  readonly held: readonly AsyncDisposable[];
}

export class BackWorld implements AsyncDisposable {
  readonly #stop = new AbortController();
  readonly #carrying: Promise<void>;
  #markers = 0;

  private constructor(
    readonly two: TwoSides,
    readonly parts: Parts,
  ) {
    this.#carrying = carryBack(two, this.#stop.signal).catch((thrown: unknown) => {
      if (!this.#stop.signal.aborted) throw thrown;
    });
  }

  static async of(ddl: string, options: { readonly server?: string; readonly writersMs?: number } = {}): Promise<BackWorld> {
    const two = await TwoSides.over(await SourceFile.of(ddl), new Map(), options.server);
    await two.sync();
    const { file, database, plan } = two;
    const { pipeline, path, directory } = file;
    const url = new Secret(database.url);
    await openSqliteTarget({ path, pipeline, lockDirectory: directory }).prepare(plan, () => Promise.resolve(), never);
    await openWayBackDesk({ url, pipeline }).open(theGroup, never);
    await turn(two, "reverse");
    const text = openTargetText(url);
    const following = openSqliteFollowing({ path, pipeline, group: theGroup, plan, targetText: text.ask });
    const describe: SqliteFollowing["describe"] = (table) => following.describe(table);
    const { writersMs = 2_000 } = options;
    const leading = await openPostgresLeading({ url, pipeline, group: theGroup, plan, describe, writersMs }, never);
    const store = await openVerificationStore({ url, pipeline, group: theGroup }, never);
    const plans = new Map(plan.tables.map((table) => [table.source, table]));
    const common = { leading, following, plans, clock: systemClock, stallMs: 20_000 };
    const world = new BackWorld(two, {
      leading,
      following,
      sides: backSides({ ...common, standing: false }),
      standing: backSides({ ...common, standing: true }),
      store,
      held: [leading, following, store, text],
    });
    await world.home();
    return world;
  }

  /** As a rollback would, or the next cutover. */
  async turn(direction: "forward" | "reverse"): Promise<void> {
    await turn(this.two, direction);
  }

  /** Until the file has all that is committed now; answers where it stands. */
  async home(): Promise<Position> {
    const { url } = this.two.database;
    const desk = openWayBackDesk({ url, pipeline: this.two.file.pipeline });
    const { order } = await desk.mark(theGroup, markerId(`home ${++this.#markers}`), never);
    const { target } = this.parts.sides;
    for (;;) {
      const now = await target.position(never).catch(() => null);
      if (now !== null && now.order >= order) return now;
      await systemClock.delay(5, never);
    }
  }

  async verify(options: Partial<RunOptions> = {}): Promise<RunResult> {
    const { sides, store, following } = this.parts;
    return await runVerification(
      {
        sides,
        store,
        requests: following,
        kind: "demand",
        holdName: "verify",
        tables: [...sides.plans.keys()],
        whole: true,
        rowsPerScope: 500,
        since: null,
        resume: null,
        pace: () => Promise.resolve(),
        onChunk: () => {},
        onProgress: () => {},
        ...options,
      },
      never,
    );
  }

  /** `table key: kind columns`, sorted; `unsettled` with its reason. */
  async said(): Promise<readonly string[]> {
    const found = await this.parts.store.mismatches({ table: null, limit: 100_000 }, never);
    return found
      .map(
        ({ table, key, kind, columns, why }) =>
          `${table} ${keyText(key)}: ${[kind, columns.join(","), why ?? ""].filter((s) => s !== "").join(" ")}`,
      )
      .toSorted();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#carrying;
    for (const one of this.parts.held) await one[Symbol.asyncDispose]();
    await openWayBackDesk({ url: this.two.database.url, pipeline: this.two.file.pipeline }).close(theGroup, never);
    await this.two[Symbol.asyncDispose]();
  }
}

async function turn({ database, file }: TwoSides, direction: "forward" | "reverse"): Promise<void> {
  await database.query(
    `INSERT INTO tailrace.pipeline (pipeline, group_id, direction, active) SELECT $1, 1, d, false FROM unnest(ARRAY['forward', 'reverse']) AS d
     ON CONFLICT (pipeline, group_id, direction) DO NOTHING`,
    [file.pipeline],
  );
  await database.query(
    `UPDATE tailrace.pipeline SET active = (direction = $2), owner_epoch = (SELECT max(owner_epoch) FROM tailrace.pipeline WHERE pipeline = $1) + 1
     WHERE pipeline = $1`,
    [file.pipeline, direction],
  );
}
