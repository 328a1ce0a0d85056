import { CaptureDirectory } from "../../connectors/duckdb/capture-directory.js";
import { readTombstone } from "../../connectors/duckdb/fence/tombstone.js";
import { openDuckDbInstaller } from "../../connectors/duckdb/installer.js";
import { openDuckDbInspector } from "../../connectors/duckdb/inspect/inspector.js";
import { openDuckDbRequests } from "../../connectors/duckdb/requests.js";
import { refuseUnreadable } from "../../connectors/duckdb/copy/refuse-unreadable.js";
import { byGroup } from "../../core/plan/groups.js";
import type { DuckDbSettings, TableSettings } from "../../core/settings.js";
import { type PipelineId, theGroup } from "../../core/vocabulary/ids.js";
import { maxPosition, position } from "../../core/vocabulary/position.js";
import type { SourceFile } from "./source-file.js";

export interface DuckDbFileOptions {
  readonly source: DuckDbSettings;
  readonly pipeline: PipelineId;
  readonly stateDirectory: string;
  readonly tables: ReadonlyMap<string, TableSettings>;
}

export function duckDbFile({ source, pipeline, stateDirectory, tables }: DuckDbFileOptions): SourceFile {
  const { path, memoryMb } = source;
  const place = { path, stateDirectory, pipeline, group: theGroup };
  const directory = (): CaptureDirectory => new CaptureDirectory(place);
  const keys = new Map([...tables].flatMap(([name, { key }]): [string, readonly string[]][] => (key === null ? [] : [[name, key]])));
  return {
    inspector: (signal) => openDuckDbInspector({ path, group: theGroup, stateDirectory, memoryMb, keys }, signal),
    installer: () => openDuckDbInstaller(place),
    requests: () => openDuckDbRequests(place),
    captured: () =>
      directory()
        .installedFor(pipeline)
        .tables.filter(({ state }) => state === "captured")
        .map(({ description }) => description.table),
    installed: () =>
      directory()
        .installed()
        ?.tables.map(({ description }) => description.table) ?? [],
    groups: () => {
      const captured =
        directory()
          .installed()
          ?.tables.filter(({ state }) => state === "captured") ?? [];
      return byGroup(captured.map(({ description }) => description));
    },
    measured: () => {
      const { history, order } = directory().memory();
      const unknown = { kind: "unknown", why: "no source service runs, which alone compares the file" } as const;
      return { head: position(history, order), changes: unknown, ms: unknown, captureLog: null };
    },
    // Its newest position is the newest that was told: the log may have it a moment before it is written down.
    offsets: ({ log }) => {
      const { history, order } = directory().shown() ?? directory().memory();
      const told = position(history, order);
      return { head: log === null ? told : maxPosition(told, log), rowsAbove: null, tables: new Map() };
    },
    captureLog: () => null,
    isFencedOff: () => readTombstone(path) !== null,
    traces: () => (directory().exists ? [`-- ${directory().path}`] : []),
    refuseMode: () => {
      if (readTombstone(path) === null) refuseUnreadable(path);
    },
  };
}
