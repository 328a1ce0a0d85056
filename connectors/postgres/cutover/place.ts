import type { GroupId, PipelineId } from "../../../core/vocabulary/ids.js";

/** Primary key of a route, and what a cutover is about. */
export interface RoutePlace {
  readonly pipeline: PipelineId;
  readonly group: GroupId;
}
