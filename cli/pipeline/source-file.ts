/** What verbs do with a source file of either kind, without owning it. Each call opens what it needs and closes it again. */
import type { SourceInspector, SourceInstaller, SourceRequests } from "../../core/contracts/source.js";
import type { CaptureLogStatus } from "../../core/status.js";
import type { GroupId, TableId } from "../../core/vocabulary/ids.js";
import type { Position } from "../../core/vocabulary/position.js";
import type { SourceEnd } from "../../services/verify/offsets.js";
import type { FileFacts } from "../watch/pipeline-view.js";

export interface SourceFile {
  inspector(signal: AbortSignal): Promise<SourceInspector>;
  installer(): SourceInstaller;
  requests(): SourceRequests;
  /** Names of the tables that the installed capture speaks of. `source.not-applied` when nothing is installed, `source.other-pipeline` when somebody else's is. */
  captured(): readonly TableId[];
  /** Tables that are captured, by their groups' numbers in order; empty when nothing is installed. */
  groups(): ReadonlyMap<GroupId, readonly TableId[]>;
  /** Tables whose changes the log may hold: those that are captured, and those that were. Empty when nothing is installed. */
  installed(): readonly TableId[];
  /** How far the target is behind and how large the capture log is, read while no source service answers. */
  measured(applied: Position | null): FileFacts;
  /** What lies between the source's head and the applied position; `log`: where the log ends, read before. */
  offsets(ends: { readonly applied: Position | null; readonly log: Position | null }): SourceEnd;
  /** null: the capture is not installed, or keeps no log in the source. */
  captureLog(): CaptureLogStatus | null;
  /** True: writes are fenced off until somebody opens them, because the application was switched over. */
  isFencedOff(): boolean;
  /** What `destroy` would remove; empty when nothing of ours is there. */
  traces(): readonly string[];
  /** Throws what keeps the file from being captured at all, and `setWal` does not mend. */
  refuseMode(setWal: boolean): void;
}
