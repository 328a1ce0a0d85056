/**
 * What stands aside while the file is a target, inside the one transaction of a window, so that nobody else ever sees it: the capture (`applying`), the
 * write fence, and every trigger of a table that has triggers of the application. Those would do a second time what their work at PostgreSQL has
 * already become: rows of the stream. Ours are made again with them, in the old order, since the youngest runs first.
 *
 * A crash rolls it all back.
 */
import type { GroupId } from "../../../core/vocabulary/ids.js";
import type { Database } from "../database.js";
import { isInstalled } from "../installed.js";
import { isOwnTrigger } from "../own-names.js";
import { quoteName } from "../quote.js";

interface Fence {
  readonly kept: number | null;
  readonly until: number | null;
}

export class Applying {
  #fence: Fence | null = null;
  readonly #triggers = new Map<string, readonly string[]>();

  constructor(
    private readonly database: Database,
    private readonly group: GroupId,
  ) {}

  /** Legal in a write transaction, before the first row. */
  begin(): void {
    this.#triggers.clear();
    this.#fence = null;
    if (!isInstalled(this.database)) return;
    const read = this.database.prepare("SELECT fence_kept AS kept, fence_until AS until FROM _cdc_state WHERE id = ?");
    this.#fence = (read.get(this.group) as Fence | undefined) ?? null;
    this.database.prepare("UPDATE _cdc_state SET applying = 1, fence_kept = 0, fence_until = NULL WHERE id = ?").run(this.group);
  }

  /** Before the first row of this table. */
  touch(table: string): void {
    if (this.#triggers.has(table)) return;
    const all = this.database
      .prepare("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE ORDER BY rowid")
      .all(table) as { name: string; sql: string }[];
    if (all.every(({ name }) => isOwnTrigger(name))) {
      this.#triggers.set(table, []);
      return;
    }
    for (const { name } of all) this.database.exec(`DROP TRIGGER ${quoteName(name)}`);
    this.#triggers.set(
      table,
      all.map(({ sql }) => sql),
    );
  }

  /** Behind the last row. */
  end(): void {
    for (const sql of [...this.#triggers.values()].flat()) this.database.exec(sql);
    if (this.#fence === null) return;
    const { kept, until } = this.#fence;
    this.database.prepare("UPDATE _cdc_state SET applying = 0, fence_kept = ?, fence_until = ? WHERE id = ?").run(kept, until, this.group);
  }
}
