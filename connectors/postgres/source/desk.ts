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

interface DeskOptions {
  readonly url: Secret | string;
  readonly pipeline: PipelineId;
  /** More log than this kept for the way back is a finding. */
  readonly keptBytesMax?: number;
}

export function openWayBackDesk({ url, pipeline, keptBytesMax = Number.POSITIVE_INFINITY }: DeskOptions): WayBackDesk {
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
    findings: (group, tables, signal) =>
      ask(group, signal, (connection, place) => wayBackFindings(connection, place, { tables, keptBytesMax })),
    isOpen: (group, signal) =>
      ask(group, signal, async (connection, place) => ((await readWayState(connection, place))?.start ?? null) !== null),
    opening: (group, signal) =>
      ask(group, signal, async (connection, place) => {
        const [prepared] = await connection.rows<{ there: boolean }>("SELECT to_regclass('tailrace.way_back') IS NOT NULL AS there");
        const state = prepared?.there === true ? await readWayState(connection, place) : null;
        return state === null || state.start === null ? null : state.opening;
      }),
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
