/** Codes of the way back, where PostgreSQL is the source: part of core/error-catalogue.ts, which says what each field means. */
import type { CatalogueEntry } from "./catalogue-entry.js";

const closed =
  "The application goes on at PostgreSQL, and nothing of it is lost there. `tailrace cutover reopen` opens the way back anew and tells the file what it has missed (docs/cutover.md); `tailrace cutover finish` gives it up";

export const wayBackErrors = {
  "source.way-back-closed": {
    verdict: "stand-by",
    cause: "No way back is open: a cutover opens it before it holds any write.",
    remedy: "Nothing to do; this process goes on when `tailrace cutover run` has opened it",
  },
  "source.no-logical-log": {
    verdict: "stop",
    cause: "PostgreSQL does not write what logical replication needs.",
    remedy: "Set `wal_level = logical` (managed servers: their own switch for logical replication) and start PostgreSQL again",
  },
  "source.slot-lost": {
    verdict: "stop",
    cause: "The replication slot of the way back is gone, or PostgreSQL has removed log that it still needed (`max_slot_wal_keep_size`).",
    remedy: closed,
  },
  "source.slot-moved": {
    verdict: "stop",
    cause: "Somebody has told PostgreSQL that log of the way back may be forgotten which was not carried back yet.",
    remedy: `Find out who reads from the slot or moves it. ${closed}`,
  },
  "source.past-replaced": {
    verdict: "stop",
    cause: "PostgreSQL was restored, or another server has taken its place, and its past is not the one that was carried back.",
    remedy: `Compare both sides (\`tailrace verify run\`) before anything else. ${closed}`,
  },
  "source.columns-changed": {
    verdict: "stop",
    cause: "A table was altered at PostgreSQL after the way back was opened, and the other side has no place for what it holds now.",
    remedy: `Undo the change of the columns named, or leave a new one as it is: then it stays in PostgreSQL alone. ${closed}`,
  },
  "source.value-not-logged": {
    verdict: "stop",
    cause:
      "An update left a large value as it was, and the table's REPLICA IDENTITY was not FULL any more, so its log does not say what it is.",
    remedy: `Nobody may change the REPLICA IDENTITY of the tables while the way back is open. ${closed}`,
  },
  "source.truncated": {
    verdict: "stop",
    cause: "A table was truncated and filled with more rows in one transaction than can be held.",
    remedy: closed,
  },
} as const satisfies Record<string, CatalogueEntry>;

const shut: ReadonlySet<string> = new Set([
  "source.slot-lost",
  "source.slot-moved",
  "source.past-replaced",
  "source.columns-changed",
  "source.value-not-logged",
  "source.truncated",
]);

/** Nothing more comes back by itself until the way back is opened anew. */
export const isShut = (code: string | null): boolean => code !== null && shut.has(code);
