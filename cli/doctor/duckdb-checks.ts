/** A DuckDB file: can it be read, is the memory enough to compare it. The file is not opened by DuckDB. */
import { duckDbVersion } from "../../connectors/duckdb/engine/database.js";
import { refuseUnreadable } from "../../connectors/duckdb/copy/refuse-unreadable.js";
import { placeOfFile } from "../../connectors/duckdb/fence/tombstone.js";
import { whoHolds } from "../../connectors/duckdb/who-holds.js";
import type { DuckDbSettings } from "../../core/settings.js";
import { type Check, found, passed } from "./check.js";
import { memoryCheck } from "./duckdb-room.js";
import { failed } from "./failed.js";

export async function duckDbChecks(source: DuckDbSettings): Promise<readonly Check[]> {
  const { path } = source;
  const place = (id: string) => ({ id, group: "source" as const, where: path });
  let storage: number | null;
  let version: string;
  try {
    storage = refuseUnreadable(placeOfFile(path).path);
    version = await duckDbVersion();
  } catch (thrown) {
    return [failed(place("source.opens"), thrown)];
  }
  const isAside = placeOfFile(path).kind === "aside";
  return [
    passed(place("source.opens"), `a DuckDB file of storage version ${storage ?? "unknown"}, copies of it are read by DuckDB ${version}`),
    passed(place("source.holder"), isAside ? "fenced off since a cutover; the file lies aside" : whoHolds(path)),
    systemCheck(place("source.system")),
    memoryCheck(place("source.memory"), source),
    found(place("source.versions"), "info", {
      what: `the application may run DuckDB 1.3 to 2.0, with a storage version of at most 1.5`,
      why: "a newer storage version cannot be read, and a copy is all that we have",
      fix: "ATTACH new files with STORAGE_VERSION 'v1.5.0' where the application runs DuckDB 2.0",
    }),
  ];
}

type Place = Pick<Check, "id" | "group" | "where">;

function systemCheck(place: Place): Check {
  if (process.platform === "linux" || process.platform === "darwin")
    return passed(place, "this system lets a file be read that another process writes");
  return found(place, "error", {
    what: `a live DuckDB file cannot be read on ${process.platform}`,
    why: "DuckDB shares the file with nobody there",
    fix: "run Tailrace on Linux or macOS",
    code: "source.unavailable",
  });
}
