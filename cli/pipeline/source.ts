/** The source file as verbs see it: looked at without being owned, and what of ours is about it. */
import type { SourceInspector, SourceInstaller, SourceRequests } from "../../core/contracts/source.js";
import type { NamedGroup } from "../../core/group-loops.js";
import { nameGroups } from "../../core/plan/groups.js";
import type { Settings } from "../../core/settings.js";
import type { CaptureLogStatus } from "../../core/status.js";
import type { GroupId, TableId } from "../../core/vocabulary/ids.js";
import type { Position } from "../../core/vocabulary/position.js";
import type { Captured } from "../../services/source/main.js";
import type { FileFacts } from "../watch/pipeline-view.js";
import { duckDbFile } from "./duckdb-file.js";
import type { SourceFile } from "./source-file.js";
import { sqliteFile } from "./sqlite-file.js";

type About = Pick<Settings, "source" | "pipeline" | "stateDirectory" | "tables">;

export const sourceFile = ({ source, pipeline, stateDirectory, tables }: About): SourceFile =>
  source.kind === "sqlite" ? sqliteFile({ source, pipeline }) : duckDbFile({ source, pipeline, stateDirectory, tables });

export const openInspector = (about: About, signal: AbortSignal): Promise<SourceInspector> => sourceFile(about).inspector(signal);
export const openInstaller = (about: About): SourceInstaller => sourceFile(about).installer();
/** Asks the one relay for something, whether it runs or not. */
export const openRequests = (about: About): SourceRequests => sourceFile(about).requests();

/** Throws `source.not-applied` when nothing is installed, `source.other-pipeline` when somebody else's is. */
export function refuseUninstalled(about: About): void {
  sourceFile(about).captured();
}

export const capturedTables = (about: About): readonly TableId[] => sourceFile(about).captured();
export const installedTables = (about: About): readonly TableId[] => sourceFile(about).installed();
export const installedGroups = (about: About): readonly GroupId[] => [...sourceFile(about).groups().keys()];
/** With their names, as settings have them. */
export const namedGroups = (about: About & Pick<Settings, "groups">): readonly NamedGroup[] =>
  nameGroups(sourceFile(about).groups(), about.groups);
/** What the source service reads of it, whenever it begins. */
export const capturedBy = (about: About & Pick<Settings, "groups">): Captured => ({
  tables: () => installedTables(about),
  groups: () => namedGroups(about),
});
/** How far the target is behind and how large the capture log is, read from the file while no source service answers. */
export const measuredFile = (about: About, applied: Position | null): FileFacts => sourceFile(about).measured(applied);
/** null: the capture is not installed, or keeps no log in the source. */
export const captureLogOf = (about: About): CaptureLogStatus | null => sourceFile(about).captureLog();
export const isFencedOff = (about: About): boolean => sourceFile(about).isFencedOff();
export const sourceTraces = (about: About): readonly string[] => sourceFile(about).traces();
