/** A DuckDB file: can it be read, is there room for a copy, is the memory enough to compare it. The file is not opened by DuckDB. */
import { mkdirSync, readFileSync, statfsSync, statSync } from "node:fs";
import { totalmem } from "node:os";
import { duckDbVersion } from "../../connectors/duckdb/engine/database.js";
import { refuseUnreadable } from "../../connectors/duckdb/copy/refuse-unreadable.js";
import { placeOfFile } from "../../connectors/duckdb/fence/tombstone.js";
import { whoHolds } from "../../connectors/duckdb/who-holds.js";
import type { DuckDbSettings } from "../../core/settings.js";
import { formatBytes } from "../output/format.js";
import { type Check, found, passed } from "./check.js";
import { failed } from "./failed.js";

/** Of the process that compares, beyond what DuckDB counts. */
const overheadBytes = 600 << 20;
/** Source and sink beside it. */
const servicesBytes = 600 << 20;

export async function duckDbChecks(source: DuckDbSettings, stateDirectory: string): Promise<readonly Check[]> {
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
    diskCheck(place("source.disk"), path, stateDirectory),
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

function diskCheck(place: Place, path: string, stateDirectory: string): Check {
  mkdirSync(stateDirectory, { recursive: true, mode: 0o700 });
  const { bavail, bsize } = statfsSync(stateDirectory);
  const free = bavail * bsize;
  const { size } = statSync(path);
  const what = `${formatBytes(free)} free beside the settings, the file has ${formatBytes(size)}`;
  // Two copies while one takes the other's place, and what a sort puts aside.
  if (free >= 3 * size + (256 << 20)) return passed(place, what);
  return found(place, "warn", {
    what,
    why: "two private copies of the file exist for a moment, and sorting a table needs about its size; a file system with reflinks (XFS, btrfs) needs less",
    fix: "make room for three times the file's size, or put the settings on another disk",
  });
}

function memoryCheck(place: Place, { memoryMb }: DuckDbSettings): Check {
  const available = Math.min(totalmem(), containerLimit());
  const needed = (memoryMb << 20) + overheadBytes + servicesBytes;
  const what = `${formatBytes(available)} here; comparing takes at most ${memoryMb} MB and what is beyond it goes to disk, all services together about ${formatBytes(needed)}`;
  if (needed <= available) return passed(place, what);
  return found(place, "warn", {
    what,
    why: "a process that takes more than a container allows is killed",
    fix: "set `source.memoryMb` lower, or give more memory",
  });
}

/** Of this container, where there is one. */
function containerLimit(): number {
  for (const file of ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]) {
    try {
      const limit = Number(readFileSync(file, "utf8"));
      if (Number.isFinite(limit)) return limit;
    } catch {
      // Not this kind of system.
    }
  }
  return Number.POSITIVE_INFINITY;
}
