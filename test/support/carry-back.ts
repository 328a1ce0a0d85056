/** What the reverse service does, without a log in between: PostgreSQL's batches go straight into a session of the file. */
import { openPostgresSource } from "../../connectors/postgres/source/postgres-source.js";
import { openSqliteTarget } from "../../connectors/sqlite/target/open-target.js";
import { systemClock } from "../../core/clock.js";
import { TailraceError } from "../../core/errors.js";
import type { Control } from "../../core/contracts/change.js";
import type { WindowPart } from "../../core/contracts/log.js";
import type { Beginning } from "../../core/contracts/source.js";
import { theGroup, writerEpoch } from "../../core/vocabulary/ids.js";
import { freshBeginning } from "./follower.js";
import { windowOf } from "./synthetic-window.js";
import type { TwoSides } from "./two-sides.js";

/** Until it is told to stop. */
export async function carryBack(sides: TwoSides, signal: AbortSignal): Promise<void> {
  const { pipeline, path, directory } = sides.file;
  const target = openSqliteTarget({ path, pipeline, lockDirectory: directory });
  await using session = await target.own({ group: theGroup, direction: "reverse", takeoverMs: 1_000 }, signal);
  let beginning: Beginning = freshBeginning;
  for (;;) {
    try {
      await using source = await openPostgresSource({ url: sides.database.url, pipeline, group: theGroup }, signal);
      for await (const batch of source.batches(beginning, signal)) {
        const parts: WindowPart[] = [];
        const controls: Control[] = [];
        for await (const part of batch.parts(signal)) {
          if (part.kind === "control") controls.push(part.control);
          else parts.push(part.kind === "changes" ? { ...part, bytes: 0 } : part);
        }
        const { resume: token, anchor } = batch.end();
        await session.apply(windowOf({ before: session.applied, parts, controls, to: batch.position }), signal);
        beginning = { resume: { position: batch.position, token, anchor }, later: [], historySeen: batch.position.history };
        await source.acknowledged(batch.position, writerEpoch(1));
      }
    } catch (thrown) {
      // PostgreSQL ends the session that holds the way when it was silent for five seconds, as on a machine that stalls: what was carried back is known.
      if (signal.aborted || !(thrown instanceof TailraceError) || thrown.verdict === "stop") throw thrown;
      await systemClock.delay(50, signal);
    }
  }
}
