import type { ColumnProfile, SourceCatalog, SourceInspector, SourceTable } from "../../../core/contracts/source.js";
import { profileRows } from "../../../core/plan/profile.js";
import type { GroupId } from "../../../core/vocabulary/ids.js";
import type { Row } from "../../../core/vocabulary/value.js";
import { type Database, openDatabase, withSqliteErrors } from "../database.js";
import { readCatalogue } from "./catalogue.js";
import { pagesOf } from "./pages.js";

const rowsPerPage = 2_000;

export interface InspectorOptions {
  /** The group that every table belongs to until groups can be declared. */
  readonly group: GroupId;
}

/** Looks at a SQLite file without writing to it: for init, doctor and plan. Legal while the application writes. */
export function openSqliteInspector(path: string, options: InspectorOptions): SqliteInspector {
  return new SqliteInspector(openDatabase(path, { readonly: true }), options.group);
}

/** Answers at once. */
export class SqliteInspector implements SourceInspector, Disposable {
  constructor(
    private readonly database: Database,
    private readonly group: GroupId,
  ) {}

  catalog(): SourceCatalog {
    return withSqliteErrors(this.database.name, () => readCatalogue(this.database, this.group));
  }

  profile(table: SourceTable): readonly ColumnProfile[] {
    return profileRows(table.description, this.rows(table));
  }

  rows(table: SourceTable): Iterable<readonly Row[]> {
    return pagesOf(this.database, table.description, rowsPerPage);
  }

  [Symbol.dispose](): void {
    this.database.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.database.close();
    return Promise.resolve();
  }
}
