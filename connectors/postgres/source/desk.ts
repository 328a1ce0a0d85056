/** The way back for whoever opens, marks and closes it: each question on a connection of its own. */
import type { WayBackDesk } from "../../../core/contracts/cutover.js";
import { Secret } from "../../../core/secret.js";
import type { GroupId, MarkerId, PipelineId } from "../../../core/vocabulary/ids.js";
import { position } from "../../../core/vocabulary/position.js";
import { Connection } from "../connection.js";
import { parseConnectionUrl } from "../connection-url.js";
import { type WayPlace, writeMarker } from "./marker.js";
import { wayBackFindings, wayBackObstacles } from "./obstacles.js";
import { withSourceErrors } from "./source-errors.js";
import { closeWayBack, openWayBack, wayName } from "./way-back.js";
import { readWayState } from "./way-state.js";

export function openWayBackDesk(options: { readonly url: Secret | string; readonly pipeline: PipelineId }): WayBackDesk {
  const { url, pipeline } = options;
  const settings = parseConnectionUrl(url instanceof Secret ? url.reveal() : url);
  const ask = <T>(group: GroupId, signal: AbortSignal, work: (connection: Connection, place: WayPlace) => Promise<T>): Promise<T> => {
    signal.throwIfAborted();
    return withSourceErrors(async () => {
      const place = { pipeline, group };
      await using connection = await Connection.open(settings, { applicationName: wayName(place), pipelined: false });
      return await work(connection, place);
    });
  };
  return {
    obstacles: (group, signal) => ask(group, signal, wayBackObstacles),
    findings: (group, tables, signal) => ask(group, signal, (connection, place) => wayBackFindings(connection, place, tables)),
    isOpen: (group, signal) =>
      ask(group, signal, async (connection, place) => ((await readWayState(connection, place))?.start ?? null) !== null),
    open: (group, signal) =>
      ask(group, signal, async (connection, place) => {
        const start = await openWayBack(connection, place);
        return position((await readWayState(connection, place))?.history ?? 1, start);
      }),
    mark: (group, marker: MarkerId, signal) =>
      ask(group, signal, async (connection, place) => {
        const below = await writeMarker(connection, place, marker);
        return position((await readWayState(connection, place))?.history ?? 1, below);
      }),
    close: (group, signal) => ask(group, signal, closeWayBack),
  };
}
