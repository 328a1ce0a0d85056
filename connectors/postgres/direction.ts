/** Which way changes of a group flow: forward until a cutover was switched, in reverse from then on, until a rollback. */
import type { Direction } from "../../core/contracts/target.js";
import type { Secret } from "../../core/secret.js";
import type { GroupId, PipelineId } from "../../core/vocabulary/ids.js";
import { Connection } from "./connection.js";
import { parseConnectionUrl } from "./connection-url.js";
import { withTargetErrors } from "./pg-errors.js";

export interface DirectionOptions {
  readonly url: Secret;
  readonly pipeline: PipelineId;
  readonly group: GroupId;
}

/** On a connection of its own. A pipeline that was never prepared, or never switched, flows forward. */
export async function readDirection({ url, pipeline, group }: DirectionOptions, signal: AbortSignal): Promise<Direction> {
  signal.throwIfAborted();
  return await withTargetErrors(async () => {
    await using connection = await Connection.open(parseConnectionUrl(url.reveal()), {
      applicationName: "tailrace direction",
      pipelined: false,
    });
    const [state] = await connection.rows<{ there: boolean }>("SELECT to_regclass('tailrace.pipeline') IS NOT NULL AS there");
    if (state?.there !== true) return "forward";
    const rows = await connection.rows(
      "SELECT FROM tailrace.pipeline WHERE pipeline = $1 AND group_id = $2 AND direction = 'reverse' AND active",
      [pipeline, group],
    );
    return rows.length === 0 ? "forward" : "reverse";
  });
}
