import type { CatalogueEntry } from "./catalogue-entry.js";

/** Codes of sources that are read from private copies (DuckDB); part of the catalogue. */
export const copyErrors = {
  "source.storage-version": {
    verdict: "stop",
    cause: "The DuckDB file has a storage version that the bundled DuckDB cannot read.",
    remedy:
      "Let the application write the storage of DuckDB 1.5: `ATTACH 'new.duckdb' AS n (STORAGE_VERSION 'v1.5.0'); COPY FROM DATABASE old TO n`, and use the new file",
  },
  "source.encrypted": {
    verdict: "stop",
    cause: "The DuckDB file is encrypted.",
    remedy: "Copy it into a file without ENCRYPTION_KEY (`COPY FROM DATABASE`) and use that one; its key would have to be in our settings",
  },
  "source.no-room": {
    verdict: "retry",
    cause: "There is no room for a private copy of the DuckDB file in the state directory.",
    remedy: "Make room for one more copy of the file beside the settings, or put them on a file system with reflinks (XFS, btrfs)",
  },
  "source.driver-missing": {
    verdict: "stop",
    cause: "The package that reads DuckDB files is not installed.",
    remedy: "Run `npm install @duckdb/node-api@1.5.6-r.1` where Tailrace is installed",
  },
  "source.memory": {
    verdict: "retry",
    cause: "The process that compares copies of the DuckDB file was ended because it took more memory than it may.",
    remedy: "Nothing to do when it is rare; else raise `source.memoryMb`",
  },
  "source.worker-ended": {
    verdict: "retry",
    cause: "The process that compares copies of the DuckDB file ended.",
    remedy: "Nothing to do when it is rare: another one is started; look at the log for what it said",
  },
  "source.copy-unreadable": {
    verdict: "retry",
    cause: "DuckDB cannot read the private copy.",
    remedy: "Nothing to do when it is rare: another copy is made; when it stays, read DuckDB's own words in the message",
  },
  "table.key-values": {
    verdict: "stop",
    cause: "The key that `tables:` declares does not tell the table's rows apart, or is NULL in some.",
    remedy: "Declare another `key`, mend the rows, or leave `key` out",
  },
  "table.type": {
    verdict: "stop",
    cause: "The table has a column of a type that cannot be captured.",
    remedy: "Change the column's type, or leave the table out",
  },
} as const satisfies Record<string, CatalogueEntry>;
