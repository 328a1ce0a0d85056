import { TailraceError } from "../core/errors.js";
import { recordBytes, recordBytesMax } from "../core/record-size.js";
import type { EncodedRecord } from "../core/contracts/log.js";
import type { TableId } from "../core/vocabulary/ids.js";

/** Asked here, where the table is still known by name; the log would only know the topic. */
export function checkRecordSize(table: TableId, record: EncodedRecord): EncodedRecord {
  const bytes = recordBytes(record);
  if (bytes <= recordBytesMax) return record;
  throw new TailraceError("log.record-too-large", {
    what: `a row takes ${bytes} bytes on the wire, ${recordBytesMax} are allowed`,
    where: { table, bytes },
  });
}
