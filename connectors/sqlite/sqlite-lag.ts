/** How far the target is behind, measured in the capture log: what is not there is said to be unknown. */
import type { Known, Lag } from "../../core/contracts/source.js";
import { maxPosition, type Position, position } from "../../core/vocabulary/position.js";
import type { Database, Statement } from "./database.js";

/** Up to this distance the changes are counted; above it the distance itself is near enough, and always an upper bound. */
const countedMax = 20_000;

export class SqliteLag {
  readonly #newest: Statement;
  readonly #oldest: Statement;
  readonly #changes: Statement;
  readonly #age: Statement;

  constructor(reader: Database) {
    const above = "FROM _cdc_log WHERE seq > ? AND op IN ('I', 'U', 'D')";
    this.#newest = reader.prepare("SELECT max(seq) FROM _cdc_log").pluck();
    this.#oldest = reader.prepare("SELECT min(seq) FROM _cdc_log").pluck();
    this.#changes = reader.prepare(`SELECT count(*) ${above}`).pluck();
    this.#age = reader.prepare(`SELECT (julianday('now') - ts) * 86400000.0 ${above} ORDER BY seq LIMIT 1`).pluck();
  }

  measure(applied: Position | null, history: number, told: Position | null): Lag {
    const newest = position(history, Number(this.#newest.get() ?? 0));
    const head = told === null ? newest : maxPosition(newest, told);
    if (applied === null)
      return { head, changes: unknown("the target has applied nothing yet"), ms: unknown("the target has applied nothing yet") };
    // Chunks that were read at the newest order lie above its own row.
    if (applied.history !== head.history || applied.order > head.order) {
      const why = "the target holds another past of the source";
      return { head, changes: unknown(why), ms: unknown(why) };
    }
    const distance = newest.order - applied.order;
    const oldest = Number(this.#oldest.get() ?? 0);
    // Rows that only the log has any more were not all changes: their number is an upper bound, their time is gone.
    if (distance > 0 && oldest > applied.order + 1)
      return { head, changes: known(distance), ms: unknown("the source has forgotten rows that the target lacks") };
    const changes = distance > countedMax ? distance : Number(this.#changes.get(applied.order));
    const age = this.#age.get(applied.order);
    return { head, changes: known(changes), ms: known(typeof age === "number" ? Math.max(0, age) : 0) };
  }
}

const known = (value: number): Known<number> => ({ kind: "known", value });
const unknown = (why: string): Known<number> => ({ kind: "unknown", why });
