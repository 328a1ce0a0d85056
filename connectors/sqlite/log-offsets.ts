/** What the capture log holds above a position, counted by table and kind in one read transaction. */
import type { TableId } from "../../core/vocabulary/ids.js";
import type { GroupId } from "../../core/vocabulary/ids.js";
import { type Position, position } from "../../core/vocabulary/position.js";
import { openDatabase, withSqliteErrors } from "./database.js";
import { readInstalled, readState } from "./installed.js";

export interface LogOffsets {
  readonly head: Position;
  /** null: part of it was forgotten, or it is of another history. */
  readonly rowsAbove: number | null;
  readonly tables: ReadonlyMap<TableId, { readonly inserts: number; readonly updates: number; readonly deletes: number }>;
}

export function readLogOffsets(path: string, group: GroupId, above: Position | null): LogOffsets {
  return withSqliteErrors(path, () => {
    const database = openDatabase(path, { readonly: true });
    try {
      database.exec("BEGIN");
      const history = readState(database, group)?.history ?? 0;
      const [oldest, newest] = database.prepare("SELECT coalesce(min(seq), 0), coalesce(max(seq), 0) FROM _cdc_log").raw().get() as [
        number,
        number,
      ];
      const from = above?.history === history ? above.order : null;
      const counts = database
        .prepare("SELECT t, op, count(*) FROM _cdc_log WHERE seq > ? GROUP BY t, op")
        .raw()
        .all(from ?? newest) as [number | null, string, number][];
      const whole = from !== null && oldest <= from + 1;
      return {
        head: position(history, newest),
        rowsAbove: whole ? counts.reduce((sum, [, , n]) => sum + n, 0) : null,
        tables: new Map(
          readInstalled(database)
            .filter(({ state }) => state === "captured")
            .map(({ number, description }) => {
              const of = (op: string): number => counts.find(([t, kind]) => t === number && kind === op)?.[2] ?? 0;
              return [description.table, { inserts: of("I"), updates: of("U"), deletes: of("D") }];
            }),
        ),
      };
    } finally {
      database.close();
    }
  });
}
