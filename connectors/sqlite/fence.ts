/**
 * The write fence: a flag in `_cdc_state` that the `f*` triggers of every captured table look at before each write, in the application's own
 * statements. It works in whatever SQLite the application has, and ends by itself without any process of ours while it is only leased.
 *
 * Promises: flag and marker are one transaction, so the marker's row is behind the last write and nothing follows it. Each later step looks at that
 * again by the log itself, not by the clock alone: a lease that ran out and was found running again (a clock that jumped) is seen by what was written.
 * Relies on the triggers being there: they are compared with what was installed when the fence goes up, and whenever the schema has moved since.
 * A crash leaves the flag as the last transaction wrote it: leased (it ends) or kept (whoever finds it asks the route).
 */
import { type Clock, systemClock } from "../../core/clock.js";
import type { FenceState, Kept, Leased, SourceFence } from "../../core/contracts/cutover.js";
import { TailraceError } from "../../core/errors.js";
import { type GroupId, type MarkerId, markerId, type PipelineId, theGroup } from "../../core/vocabulary/ids.js";
import { type Position, position } from "../../core/vocabulary/position.js";
import { type Database, isBusy, openDatabase, withSqliteErrors } from "./database.js";
import { checkCapture } from "./schema-check.js";
import { immediately } from "./write.js";

export interface FenceOptions {
  readonly path: string;
  readonly pipeline: PipelineId;
  readonly clock?: Clock;
}

/** A wait blocks this process as well, so it is asked for in slices. */
const sliceMs = 20;
const patientMs = 2_000;

export function openSqliteFence(options: FenceOptions): SourceFence {
  const database = openDatabase(options.path, { readonly: false, busyTimeoutMs: patientMs });
  try {
    // A fence that power loss takes back after the switch would leave two writable sides.
    database.pragma("synchronous = FULL");
    return new SqliteFence(database, options);
  } catch (thrown) {
    database.close();
    throw thrown;
  }
}

interface FenceRow {
  readonly history: number;
  readonly marker: string | null;
  readonly seq: number | null;
  readonly kept: number;
  /** Milliseconds left by the source machine's clock; null: no lease. */
  readonly leftMs: number | null;
}
/** A fence that stands, whoever put it up. */
interface Standing {
  readonly row: FenceRow;
  readonly marker: MarkerId;
  readonly at: Position;
}

class SqliteFence implements SourceFence {
  readonly #clock: Clock;
  /** For which texts of tables and triggers were compared with what was installed. */
  #schemaProven: unknown = null;

  constructor(
    private readonly database: Database,
    private readonly options: FenceOptions,
  ) {
    this.#clock = options.clock ?? systemClock;
  }

  async prove(group: GroupId): Promise<void> {
    this.#schemaProven = null;
    this.#errors(() => this.#proveCapture(group));
  }

  async fence(
    group: GroupId,
    marker: MarkerId,
    limits: { readonly waitMs: number; readonly leaseMs: number },
    signal: AbortSignal,
  ): Promise<Leased> {
    // Outside the transaction that stops the application: the texts of all triggers are compared, which takes a while with many tables.
    this.#errors(() => this.#proveCapture(group));
    const deadline = this.#clock.monotonicMs() + limits.waitMs;
    for (;;) {
      signal.throwIfAborted();
      try {
        return this.#write(sliceMs, () => this.#raise(group, marker, limits.leaseMs));
      } catch (thrown) {
        if (!isBusy(thrown) || this.#clock.monotonicMs() >= deadline) throw thrown;
      }
      await this.#clock.delay(1, signal);
    }
  }

  async renew(group: GroupId, marker: MarkerId, leaseMs: number): Promise<Leased> {
    return this.#write(patientMs, () => {
      const standing = this.#whole(group, marker);
      if (standing.row.kept === 1) throw lost("The fence is kept, and has no lease", group, marker);
      this.#prepare("UPDATE _cdc_state SET fence_until = julianday('now') + ? / 86400000.0 WHERE id = ?").run(leaseMs, group);
      return this.#leased(standing, leaseMs);
    });
  }

  async keep(group: GroupId, marker: MarkerId): Promise<Kept> {
    return this.#write(patientMs, () => {
      const { at } = this.#whole(group, marker);
      this.#prepare("UPDATE _cdc_state SET fence_kept = 1, fence_until = NULL WHERE id = ?").run(group);
      return { kind: "kept", marker, at };
    });
  }

  async release(group: GroupId, marker: MarkerId): Promise<void> {
    this.#write(patientMs, () => {
      this.#prepare(
        "UPDATE _cdc_state SET fence_kept = 0, fence_until = NULL, fence_marker = NULL, fence_seq = NULL WHERE id = ? AND fence_marker = ?",
      ).run(group, marker);
    });
  }

  async state(group: GroupId): Promise<FenceState> {
    return this.#errors(() => {
      const standing = this.#hasColumns() ? this.#standing(group) : null;
      if (standing === null) return { kind: "open" };
      const { row, marker, at } = standing;
      return row.kept === 1 ? { kind: "kept", marker, at } : this.#leased(standing, row.leftMs ?? 0);
    });
  }

  [Symbol.dispose](): void {
    this.database.close();
  }

  #raise(group: GroupId, marker: MarkerId, leaseMs: number): Leased {
    this.#addColumns();
    this.#proveCapture(group);
    const before = this.#standing(group);
    if (before !== null && before.marker !== marker) {
      throw new TailraceError("cutover.fence-taken", {
        what: "Writes are fenced off by another cutover",
        where: { path: this.options.path, marker: before.marker },
      });
    }
    if (before !== null) return this.#extend(this.#whole(group, marker), group, leaseMs);
    const { lastInsertRowid } = this.#prepare("INSERT INTO _cdc_log (op, ts, k0) VALUES ('M', julianday('now'), ?)").run(marker);
    this.#prepare(
      `UPDATE _cdc_state SET fence_kept = 0, fence_until = julianday('now') + ? / 86400000.0, fence_marker = ?, fence_seq = ? WHERE id = ?`,
    ).run(leaseMs, marker, Number(lastInsertRowid), group);
    const raised = this.#standing(group);
    if (raised === null) throw lost("The lease is over before it began", group, marker);
    return this.#leased(raised, leaseMs);
  }

  /** The same cutover asks once more; a kept fence stays as it is. */
  #extend(standing: Standing, group: GroupId, leaseMs: number): Leased {
    if (standing.row.kept !== 1) {
      this.#prepare("UPDATE _cdc_state SET fence_until = julianday('now') + ? / 86400000.0 WHERE id = ?").run(leaseMs, group);
    }
    return this.#leased(standing, leaseMs);
  }

  #leased({ marker, at }: Standing, leftMs: number): Leased {
    return { kind: "leased", marker, at, untilMs: this.#clock.wallMs() + leftMs };
  }

  /** In a write transaction. Throws unless this fence has held since it went up. */
  #whole(group: GroupId, marker: MarkerId): Standing {
    const standing = this.#standing(group);
    if (standing === null || standing.marker !== marker) throw lost("The fence is no longer there", group, marker);
    const seq = standing.at.order;
    const written = this.#prepare(
      "SELECT count(*) FROM _cdc_log WHERE seq > ? AND op IN ('I', 'U', 'D') AND t IN (SELECT t FROM _cdc_tables WHERE grp = ?)",
    )
      .pluck()
      .get(seq, group);
    if (written !== 0) throw lost(`${String(written)} changes were written past the fence`, group, marker);
    const oldest = this.#prepare("SELECT min(seq) FROM _cdc_log").pluck().get();
    // Other groups go on, and what they have done with goes: a lease keeps it (holds.ts), and once kept nothing can have been written.
    if (standing.row.kept !== 1 && typeof oldest === "number" && oldest > seq)
      throw lost("What follows the fence was pruned and cannot be looked at", group, marker);
    this.#proveCapture(group);
    return standing;
  }

  /** null: open, or a lease that is over. */
  #standing(group: GroupId): Standing | null {
    const row = this.#prepare(
      `SELECT coalesce((SELECT history FROM _cdc_state WHERE id = ${theGroup}), history) AS history, fence_marker AS marker, fence_seq AS seq, coalesce(fence_kept, 0) AS kept,
              (fence_until - julianday('now')) * 86400000.0 AS leftMs FROM _cdc_state WHERE id = ?`,
    ).get(group) as FenceRow | undefined;
    if (row === undefined) {
      throw new TailraceError("source.not-applied", {
        what: "The source has no capture objects of this group",
        where: { path: this.options.path, group },
      });
    }
    if (row.marker === null || row.seq === null || (row.kept !== 1 && (row.leftMs ?? 0) <= 0)) return null;
    return { row, marker: markerId(row.marker), at: position(row.history, row.seq) };
  }

  #proveCapture(group: GroupId): void {
    const version = this.database.pragma("schema_version", { simple: true });
    if (version === this.#schemaProven) return;
    checkCapture(this.database, { ...this.options, group });
    this.#schemaProven = version;
  }

  #hasColumns(): boolean {
    const names = (this.database.pragma("table_info(_cdc_state)") as { name: string }[]).map(({ name }) => name);
    return names.length === 0 || names.includes("fence_seq");
  }

  /** Files that were captured before the fence had a marker. */
  #addColumns(): void {
    if (this.#hasColumns()) return;
    for (const column of ["fence_marker", "fence_seq"]) this.database.exec(`ALTER TABLE _cdc_state ADD COLUMN ${column}`);
  }

  #prepare(sql: string) {
    return this.database.prepare<unknown[]>(sql);
  }

  #write<T>(waitMs: number, work: () => T): T {
    return this.#errors(() => {
      this.database.pragma(`busy_timeout = ${waitMs}`);
      return immediately(this.database, work);
    });
  }

  #errors<T>(work: () => T): T {
    return withSqliteErrors(this.options.path, work);
  }
}

const lost = (what: string, group: GroupId, marker: MarkerId): TailraceError =>
  new TailraceError("cutover.fence-lost", { what, where: { group, marker } });
