/** What the ways of applying a window share: whose transaction it is, and on which connections. */
import type { Conservation } from "../../core/contracts/target.js";
import type { OwnerEpoch, TableId } from "../../core/vocabulary/ids.js";
import type { Connection } from "./connection.js";
import type { TargetTables } from "./controls.js";
import type { Place } from "./state.js";

export interface ApplyContext {
  readonly place: Place;
  readonly epoch: OwnerEpoch;
  /** The direction is not active: windows are passed over. */
  readonly follows: boolean;
  readonly tables: TargetTables;
  readonly former: ReadonlySet<TableId>;
  /** For windows that go in one round trip, and for replays. */
  readonly pipelined: Connection;
  /** For windows that are streamed, and for COPY. */
  readonly plain: Connection;
}
export type Counts = ReadonlyMap<TableId, Conservation>;
