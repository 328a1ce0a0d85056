/**
 * The file is the side that applications write to again: the fence of the cutover is taken away, and numbers that the target has given meanwhile are not
 * given a second time. One transaction, which may be repeated. It takes away the fence that it is told of and no other: whoever was stopped before it and
 * goes on after the next cutover must not open what that one has closed.
 */
import type { GivenNumber } from "../../core/contracts/cutover.js";
import type { GroupId, MarkerId } from "../../core/vocabulary/ids.js";
import { openDatabase, withSqliteErrors } from "./database.js";
import { isInstalled } from "./installed.js";
import { immediately } from "./write.js";

const patientMs = 10_000;

export interface HomeComing {
  readonly path: string;
  readonly group: GroupId;
  /** Of the fence that was found; null: none was up. */
  readonly marker: MarkerId | null;
  readonly numbers: readonly GivenNumber[];
}

export function comeHome({ path, group, marker, numbers }: HomeComing): void {
  const database = openDatabase(path, { readonly: false, busyTimeoutMs: patientMs });
  try {
    database.pragma("synchronous = FULL");
    withSqliteErrors(path, () =>
      immediately(database, () => {
        for (const { table, highest } of numbers) {
          // Only AUTOINCREMENT remembers; without it the next number is above the highest that is there.
          if (!remembers(database)) break;
          database.prepare("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?").run(highest, table);
        }
        if (marker === null || !isInstalled(database)) return;
        database
          .prepare(
            "UPDATE _cdc_state SET fence_kept = 0, fence_until = NULL, fence_marker = NULL, fence_seq = NULL WHERE id = ? AND fence_marker = ?",
          )
          .run(group, marker);
      }),
    );
  } finally {
    database.close();
  }
}

const remembers = (database: ReturnType<typeof openDatabase>): boolean =>
  database.prepare("SELECT count(*) FROM sqlite_master WHERE name = 'sqlite_sequence'").pluck().get() === 1;
