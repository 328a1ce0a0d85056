/** The source file: can it be read, will it be captured whole, is there room. */
import { accessSync, constants, statfsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { openDatabase } from "../../connectors/sqlite/database.js";
import type { SourceCatalog } from "../../core/contracts/source.js";
import { catalogue, type ErrorCode } from "../../core/error-catalogue.js";
import { asTailraceError } from "../../core/errors.js";
import type { Settings } from "../../core/settings.js";
import { formatBytes, plural } from "../output/format.js";
import { capturedTables, captureLogOf, openInspector } from "../pipeline/source.js";
import { alarmSentence, captureLogLine } from "../watch/capture-log-text.js";
import { type Check, found, passed } from "./check.js";
import { duckDbChecks } from "./duckdb-checks.js";
import { roomCheck } from "./duckdb-room.js";
import { failed } from "./failed.js";

export async function sourceChecks(settings: Settings, signal: AbortSignal): Promise<readonly Check[]> {
  const { source } = settings;
  const own = source.kind === "sqlite" ? sqliteChecks(source.path) : await duckDbChecks(source);
  if (own.some(({ id, severity }) => id === "source.opens" && severity === "error")) return own;
  return [
    ...own,
    ...(await tableChecks(settings, signal)),
    captureCheck({ id: "source.capture", group: "source", where: source.path }, settings),
    ...captureLogChecks({ id: "source.capture-log", group: "source", where: source.path }, settings),
  ];
}

function sqliteChecks(path: string): readonly Check[] {
  const place = (id: string) => ({ id, group: "source" as const, where: path });
  let mode: string;
  let version: string;
  try {
    const database = openDatabase(path, { readonly: true });
    mode = String(database.pragma("journal_mode", { simple: true }));
    version = String(database.prepare("SELECT sqlite_version()").pluck().get());
    database.close();
  } catch (thrown) {
    return [failed(place("source.opens"), thrown)];
  }
  return [
    passed(place("source.opens"), `an SQLite database in UTF-8, read by SQLite ${version}`),
    walCheck(place("source.wal"), mode),
    writableCheck(place("source.writable"), path),
    diskCheck(place("source.disk"), path),
    found(place("source.busy-timeout"), "info", {
      what: "the application should set busy_timeout (5000 ms, say)",
      why: "Tailrace prunes its capture log with short transactions in quiet moments; an application without busy_timeout may see SQLITE_BUSY, as with any second writer",
      fix: "PRAGMA busy_timeout = 5000 on every connection of the application, unless it does so already",
    }),
  ];
}

type PlaceOf = Pick<Check, "id" | "group" | "where">;

function walCheck(place: PlaceOf, mode: string): Check {
  if (mode === "wal") return passed(place, "WAL mode");
  return found(place, "error", {
    what: `the journal mode is ${mode}, not wal`,
    why: "without WAL, every read of ours would hold up the application's writes",
    fix: "`tailrace apply --set-wal` while the application is stopped, or PRAGMA journal_mode=WAL by the application",
    code: "source.mode",
  });
}

function writableCheck(place: PlaceOf, path: string): Check {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    accessSync(dirname(path), constants.W_OK);
    return passed(place, "the file and its folder can be written by this user");
  } catch {
    return found(place, "error", {
      what: "this user may not write the file or its folder",
      why: "the capture lives in the file, and SQLite keeps -wal and -shm beside it",
      fix: "run Tailrace as a user (or in a group) that may write both",
      code: "source.unavailable",
    });
  }
}

function diskCheck(place: PlaceOf, path: string): Check {
  const { bavail, bsize } = statfsSync(dirname(path));
  const free = bavail * bsize;
  const size = statSync(path).size;
  const what = `${formatBytes(free)} free, the file has ${formatBytes(size)}`;
  // The log holds what the target lacks: half the file is a long outage, and a full disk stops the application too.
  if (free >= Math.max(size / 2, 256 * 1024 * 1024)) return passed(place, what);
  return found(place, "warn", {
    what,
    why: "while the target is away, changes wait inside the source file; a full disk stops the application",
    fix: "make room for at least half the file's size",
  });
}

function captureLogChecks(place: PlaceOf, settings: Settings): readonly Check[] {
  const log = captureLogOf(settings);
  if (log === null) return [];
  const alarm = alarmSentence(log);
  if (alarm !== null) {
    return [
      found(place, "warn", {
        what: alarm,
        why: "changes that the target lacks wait inside the source file; a full disk stops the application",
        fix: "`tailrace status` says what is behind. `source.log.retain: acknowledged` forgets what the log has stored, see docs/configuration.md",
      }),
    ];
  }
  if (log.retain === "applied") return [passed(place, captureLogLine(log))];
  return [
    found(place, "info", {
      what: captureLogLine(log),
      why: `beyond ${formatBytes(log.maxBytes)} rows are forgotten once the log has stored them: a log that then loses records cannot be filled again, and every table is read again under a new history`,
      fix: "keep `source.log.maxBytes` large enough for the longest outage, and the log's replicas in order",
    }),
  ];
}

async function tableChecks(settings: Settings, signal: AbortSignal): Promise<readonly Check[]> {
  const { source, stateDirectory } = settings;
  const { path } = source;
  let catalog: SourceCatalog;
  try {
    await using inspector = await openInspector(settings, signal);
    catalog = await inspector.catalog();
  } catch (thrown) {
    signal.throwIfAborted();
    return [failed({ id: "source.tables", group: "source", where: path }, thrown)];
  }
  const listed = (table: string): boolean => !settings.onlyListedTables || settings.tables.has(table);
  const usable = catalog.tables.filter(({ description }) => listed(description.table));
  const summary = { id: "source.tables", group: "source" as const, where: path };
  const rows = usable.reduce((sum, { rowsEstimated }) => sum + rowsEstimated, 0);
  return [
    // The look is over, and its copy gone.
    ...(source.kind === "duckdb" ? [roomCheck({ ...summary, id: "source.disk" }, source, stateDirectory, rows)] : []),
    usable.length > 0
      ? passed(summary, `${plural(usable.length, "table")} can be captured`)
      : found(summary, "error", {
          what: "no table can be captured",
          why: "there is nothing to move",
          fix: "see the tables that are left out, and `tables:` in the settings",
          code: "plan.refused",
        }),
    ...catalog.refused.filter(({ table }) => listed(table)).map(({ table, code, reason }) => leftOut(table, code, reason)),
  ];
}

function leftOut(table: string, code: ErrorCode, reason: string): Check {
  return found({ id: "source.table-left-out", group: "source", where: table }, "warn", {
    what: reason,
    why: "the table cannot be captured exactly, so it is left out rather than moved wrongly",
    fix: catalogue[code].remedy,
    code,
  });
}

function captureCheck(place: PlaceOf, settings: Settings): Check {
  try {
    return passed(place, `installed for ${plural(capturedTables(settings).length, "table")}`);
  } catch (thrown) {
    const error = asTailraceError(thrown);
    if (error.code !== "source.not-applied") return failed(place, thrown);
    return found(place, "info", {
      what: "the capture is not installed yet",
      why: "nothing is followed until it is",
      fix: "tailrace apply",
      code: error.code,
    });
  }
}
