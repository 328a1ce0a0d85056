import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import BetterSqlite from "better-sqlite3";
import { openSqliteInspector, type SqliteInspector } from "../../../connectors/sqlite/inspect/inspector.js";
import type { SourceTable } from "../../../core/contracts/source.js";
import { theGroup } from "../../../core/vocabulary/ids.js";

/** A real SQLite file in WAL mode, open for an application, and an inspector on it. Disposing removes everything. */
export class SourceFile implements Disposable {
  readonly #directory = mkdtempSync(join(tmpdir(), "tailrace-inspect-"));
  readonly path = join(this.#directory, "shop.db");
  readonly app = new BetterSqlite(this.path);
  #inspector: SqliteInspector | null = null;

  constructor(sql: string) {
    this.app.pragma("journal_mode = WAL");
    this.app.exec(sql);
  }

  get inspector(): SqliteInspector {
    this.#inspector ??= openSqliteInspector(this.path, { group: theGroup });
    return this.#inspector;
  }

  table(name: string): SourceTable {
    const found = this.inspector.catalog().tables.find((table) => table.description.table === name);
    if (found === undefined) throw new Error(`the catalogue has no table '${name}'`);
    return found;
  }

  /** What `catalog` says about one table: its key's column names, or the code it is refused with. */
  keyOrRefusal(name: string): readonly string[] | string {
    const { tables, refused } = this.inspector.catalog();
    const table = tables.find((one) => one.description.table === name)?.description;
    if (table !== undefined) return table.key.map((i) => table.columns[i]?.name ?? "?");
    return refused.find((one) => one.table === name)?.code ?? "not there";
  }

  [Symbol.dispose](): void {
    this.#inspector?.[Symbol.dispose]();
    this.app.close();
    rmSync(this.#directory, { recursive: true });
  }
}
