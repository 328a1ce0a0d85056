/** The source file as verbs see it: looked at without being owned, and what of ours is in it. */
import { captureLogUse } from "../../connectors/sqlite/capture-log-use.js";
import { openDatabase } from "../../connectors/sqlite/database.js";
import { destroyStatements } from "../../connectors/sqlite/install-plan.js";
import { isInstalled, readInstalled, readState, refuseOtherPipeline } from "../../connectors/sqlite/installed.js";
import { openSqliteInspector } from "../../connectors/sqlite/inspect/inspector.js";
import { SqliteLag } from "../../connectors/sqlite/sqlite-lag.js";
import { captureLogStatus } from "../../core/capture/retention.js";
import type { SourceInspector } from "../../core/contracts/source.js";
import { TailraceError } from "../../core/errors.js";
import type { Settings } from "../../core/settings.js";
import type { CaptureLogStatus } from "../../core/status.js";
import { type TableId, theGroup } from "../../core/vocabulary/ids.js";
import type { Position } from "../../core/vocabulary/position.js";
import type { FileFacts } from "../watch/pipeline-view.js";

export const openInspector = ({ source }: Settings): SourceInspector => openSqliteInspector(source.path, { group: theGroup });

/** Throws `source.not-applied` when nothing is installed, `source.other-pipeline` when somebody else's is. */
export function refuseUninstalled(settings: Settings): void {
  capturedTables(settings);
}

/** Names of the tables that the installed capture writes about. `source.not-applied` when nothing is installed. */
export function capturedTables(settings: Settings): readonly TableId[] {
  const { path } = settings.source;
  const database = openDatabase(path, { readonly: true });
  try {
    const state = isInstalled(database) ? readState(database, theGroup) : null;
    if (state === null)
      throw new TailraceError("source.not-applied", { what: "Nothing of Tailrace is installed in the source", where: { path } });
    refuseOtherPipeline(state, settings.pipeline, path);
    return readInstalled(database)
      .filter(({ state: kept }) => kept === "captured")
      .map(({ description }) => description.table);
  } finally {
    database.close();
  }
}

/** Tables whose changes the log may hold: those that are captured, and those that were. Empty when nothing is installed. */
export function installedTables({ source }: Settings): readonly TableId[] {
  const database = openDatabase(source.path, { readonly: true });
  try {
    const installed = isInstalled(database) ? readInstalled(database) : [];
    return installed.filter(({ state }) => state !== "left-out").map(({ description }) => description.table);
  } finally {
    database.close();
  }
}

/** How far the target is behind and how large the capture log is, read from the file while no source service answers. */
export function measuredFile({ source }: Settings, applied: Position | null): FileFacts {
  const database = openDatabase(source.path, { readonly: true });
  try {
    const state = isInstalled(database) ? readState(database, theGroup) : null;
    if (state === null)
      throw new TailraceError("source.not-applied", { what: "the capture is not installed", where: { path: source.path } });
    const lag = new SqliteLag(database).measure(applied, state.history, null);
    return { ...lag, captureLog: captureLogStatus(captureLogUse(database, source.path), source.log, { applied, acknowledged: lag.head }) };
  } finally {
    database.close();
  }
}

/** null: the capture is not installed. */
export function captureLogOf({ source }: Settings): CaptureLogStatus | null {
  const database = openDatabase(source.path, { readonly: true });
  try {
    if (!isInstalled(database)) return null;
    return captureLogStatus(captureLogUse(database, source.path), source.log, { applied: null, acknowledged: null });
  } finally {
    database.close();
  }
}

/** What `destroy` would execute in the source; empty when nothing of ours is there. */
export function sourceTraces({ source }: Settings): readonly string[] {
  const database = openDatabase(source.path, { readonly: true });
  try {
    return destroyStatements(database);
  } finally {
    database.close();
  }
}

export function journalMode({ source }: Settings): string {
  const database = openDatabase(source.path, { readonly: true });
  try {
    return String(database.pragma("journal_mode", { simple: true }));
  } finally {
    database.close();
  }
}
