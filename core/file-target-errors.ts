/** Codes of a file as the target of the way back; part of the one catalogue. */
import type { CatalogueEntry } from "./catalogue-entry.js";

export const fileTargetErrors = {
  "value.no-way-back": {
    verdict: "stop",
    cause: "PostgreSQL holds a value that the source's file cannot hold exactly.",
    remedy:
      "Mend the value in PostgreSQL: the stream back goes on by itself. If the file is no longer needed, `tailrace cutover finish` gives the way back up",
  },
  "target.file-held": {
    verdict: "retry",
    cause: "Another program has the DuckDB file open that PostgreSQL's changes are to be written to.",
    remedy: "Close it there; the stream back goes on by itself. It opens the file only while it writes",
  },
  "plan.no-way-back": {
    verdict: "stop",
    cause: "Rows that the application writes to PostgreSQL could not be stored in the source's file.",
    remedy:
      "Mend what is named: give a dropped column a default at the source, or carry it over. Without a way back a cutover cannot be taken back",
  },
} as const satisfies Record<string, CatalogueEntry>;
