import { openSqliteRequests } from "../../connectors/sqlite/requests.js";
import type { SourceRequests } from "../../core/contracts/source.js";
import type { Settings } from "../../core/settings.js";
import { theGroup } from "../../core/vocabulary/ids.js";

/** Asks the one relay for something, whether it runs or not. */
export const openRequests = ({ source, pipeline }: Settings): SourceRequests =>
  openSqliteRequests({ path: source.path, pipeline, group: theGroup });
