import { captureLogUse } from "../../connectors/sqlite/capture-log-use.js";
import { openDatabase } from "../../connectors/sqlite/database.js";
import { destroyStatements } from "../../connectors/sqlite/install-plan.js";
import { isAnyFencedOff, isInstalled, readInstalled, readState, refuseOtherPipeline } from "../../connectors/sqlite/installed.js";
import { openSqliteInstaller } from "../../connectors/sqlite/installer.js";
import { openSqliteInspector } from "../../connectors/sqlite/inspect/inspector.js";
import { readLogOffsets } from "../../connectors/sqlite/log-offsets.js";
import { openSqliteRequests } from "../../connectors/sqlite/requests.js";
import { SqliteLag } from "../../connectors/sqlite/sqlite-lag.js";
import { captureLogStatus } from "../../core/capture/retention.js";
import { TailraceError } from "../../core/errors.js";
import type { SqliteSettings } from "../../core/settings.js";
import { type PipelineId, theGroup } from "../../core/vocabulary/ids.js";
import { byGroup } from "../../core/plan/groups.js";
import type { SourceFile } from "./source-file.js";

export function sqliteFile({ source, pipeline }: { readonly source: SqliteSettings; readonly pipeline: PipelineId }): SourceFile {
  const { path } = source;
  const place = { path, pipeline, group: theGroup };
  return {
    inspector: () => Promise.resolve(openSqliteInspector(path, { group: theGroup })),
    installer: () => openSqliteInstaller(place),
    requests: () => openSqliteRequests(place),
    captured: () =>
      reading(path, (database) => {
        const state = isInstalled(database) ? readState(database, theGroup) : null;
        if (state === null)
          throw new TailraceError("source.not-applied", { what: "Nothing of Tailrace is installed in the source", where: { path } });
        refuseOtherPipeline(state, pipeline, path);
        return readInstalled(database)
          .filter(({ state: kept }) => kept === "captured")
          .map(({ description }) => description.table);
      }),
    installed: () =>
      reading(path, (database) => {
        const installed = isInstalled(database) ? readInstalled(database) : [];
        return installed.filter(({ state }) => state !== "left-out").map(({ description }) => description.table);
      }),
    groups: () =>
      reading(path, (database) => {
        const installed = isInstalled(database) ? readInstalled(database) : [];
        return byGroup(installed.filter(({ state }) => state === "captured").map(({ description }) => description));
      }),
    measured: (applied) =>
      reading(path, (database) => {
        const state = isInstalled(database) ? readState(database, theGroup) : null;
        if (state === null) throw new TailraceError("source.not-applied", { what: "the capture is not installed", where: { path } });
        const lag = new SqliteLag(database).measure(applied, state.history, null);
        return { ...lag, captureLog: captureLogStatus(captureLogUse(database, path), source.log, { applied, acknowledged: lag.head }) };
      }),
    offsets: ({ applied }) => readLogOffsets(path, theGroup, applied),
    captureLog: () =>
      reading(path, (database) =>
        isInstalled(database) ? captureLogStatus(captureLogUse(database, path), source.log, { applied: null, acknowledged: null }) : null,
      ),
    isFencedOff: () => reading(path, (database) => isInstalled(database) && isAnyFencedOff(database)),
    traces: () => reading(path, destroyStatements),
    refuseMode: (setWal) => {
      const mode = journalMode(path);
      if (mode !== "wal" && !setWal)
        throw new TailraceError("source.mode", { what: `The source's journal mode is ${mode}`, where: { path } });
    },
  };
}

const journalMode = (path: string): string => reading(path, (database) => String(database.pragma("journal_mode", { simple: true })));

function reading<T>(path: string, work: (database: ReturnType<typeof openDatabase>) => T): T {
  const database = openDatabase(path, { readonly: true });
  try {
    return work(database);
  } finally {
    database.close();
  }
}
