/** Whoever has missed something of what should have come back makes the file forget which rows were proven equal. */
import type { GroupId } from "../../../core/vocabulary/ids.js";
import { openDatabase, withSqliteErrors } from "../database.js";
import { immediately } from "../write.js";
import { unprove } from "./tracked-keys.js";

const busyTimeoutMs = 5_000;

/** Of a file that is prepared. Durable on return. */
export function forgetProof({ path, group }: { readonly path: string; readonly group: GroupId }): void {
  withSqliteErrors(path, () => {
    const database = openDatabase(path, { readonly: false, busyTimeoutMs });
    try {
      immediately(database, () => unprove(database, group));
    } finally {
      database.close();
    }
  });
}
