/** What following a DuckDB file takes of disk and memory, and whether that is there. The figures are those of docs/duckdb.md. */
import { mkdirSync, readFileSync, statfsSync, statSync } from "node:fs";
import { totalmem } from "node:os";
import { dirname, join } from "node:path";
import { sharesBlocks } from "../../connectors/duckdb/copy/private-file.js";
import { placeOfFile } from "../../connectors/duckdb/fence/tombstone.js";
import type { DuckDbSettings } from "../../core/settings.js";
import { formatBytes, formatCount } from "../output/format.js";
import { type Check, found, passed } from "./check.js";

type Place = Pick<Check, "id" | "group" | "where">;

/** The source's, the one that takes its place and the one that a verifier holds; beside the part of the file that changes where blocks are shared. */
const copies = { apart: 3, shared: 0.5 } as const;
/** Of a row: what was told of it, what a verification has in order of it, and what sorting takes. */
const rowBytes = 24 + 60 + 24;
/** Rows are put in order by where they lie and in stages (engine/sorted-rows.ts). */
const sortBytes = 512 * 2 ** 20;

export function roomCheck(place: Place, source: DuckDbSettings, stateDirectory: string, rows: number): Check {
  const { path } = placeOfFile(source.path);
  mkdirSync(stateDirectory, { recursive: true, mode: 0o700 });
  const { bavail, bsize } = statfsSync(stateDirectory);
  const free = bavail * bsize;
  const { size } = statSync(path);
  const isShared = sharesBlocks(path, stateDirectory);
  const needed = size * copies[isShared ? "shared" : "apart"] + rows * rowBytes + sortBytes;
  const how = isShared ? "copies share its blocks" : "up to three copies of it exist at one time";
  const what = `${formatBytes(free)} free beside the settings; about ${formatBytes(needed)} are needed: the file has ${formatBytes(size)} and ${formatCount(rows)} rows, ${how}`;
  if (free >= needed) return passed(place, what);
  return found(place, "warn", {
    what,
    why: "private copies are compared and sorted there, and a full disk stops the pipeline",
    fix: isShared
      ? "make room, or put the settings on another disk"
      : "make room, or put the file and the settings on a file system with reflinks (XFS, btrfs), where a copy takes nothing",
  });
}

/** Beyond what DuckDB counts, of each of the two processes that hold it. */
const engineBytes = 350 * 2 ** 20;
/** Source, sink and verify service. */
const servicesBytes = 650 * 2 ** 20;
/** A verification reads with half of it, and with so much at least. */
const viewMbLeast = 200;

export function memoryCheck(place: Place, { memoryMb }: DuckDbSettings): Check {
  const available = Math.min(totalmem(), containerLimit());
  const engines = (memoryMb + Math.max(viewMbLeast, memoryMb / 2)) * 2 ** 20 + 2 * engineBytes;
  const needed = engines + servicesBytes;
  const what = `${formatBytes(available)} here; source, sink and verification take about ${formatBytes(needed)} together, whatever the file's size: DuckDB at most ${memoryMb} MB, and what is beyond it goes to disk`;
  if (needed <= available) return passed(place, what);
  return found(place, "warn", {
    what,
    why: "a process that takes more than a container allows is killed",
    fix: "set `source.memoryMb` lower, or give more memory",
  });
}

/** The least of the memory groups that we run in, with the system's own files for it: version 2, else 1. */
export function containerLimit(groups = readOr("/proc/self/cgroup"), root = "/sys/fs/cgroup"): number {
  let least = Number.POSITIVE_INFINITY;
  for (const line of groups.split("\n")) {
    const [, kind, path = ""] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (kind === undefined || (kind !== "" && !kind.split(",").includes("memory"))) continue;
    const [base, file] = kind === "" ? [root, "memory.max"] : [join(root, "memory"), "memory.limit_in_bytes"];
    // Inside a container the path may be the host's: then only the root of what is seen here is ours.
    for (let at = join(base, path); at.length >= base.length; at = dirname(at)) {
      const limit = Number(readOr(join(at, file)) || Number.NaN);
      if (Number.isFinite(limit)) least = Math.min(least, limit);
    }
  }
  return least;
}

function readOr(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // Not this kind of system.
    return "";
  }
}
