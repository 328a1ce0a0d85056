import { TailraceError } from "../core/errors.js";
import type { TableId } from "../core/vocabulary/ids.js";

/** The topic limit, less room for what the log puts around a record. */
const recordBytesMax = 8 * 1024 * 1024 - 4096;

/** Asked here, where the table is still known by name; the log would only know the topic. */
export function checkRecordSize(table: TableId, bytes: number): void {
  if (bytes <= recordBytesMax) return;
  throw new TailraceError("log.record-too-large", {
    what: `a row takes ${bytes} bytes on the wire, ${recordBytesMax} are allowed`,
    where: { table, bytes },
  });
}
