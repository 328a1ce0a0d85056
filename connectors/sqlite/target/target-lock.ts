/** One sink per file and group, as there is one source: an exclusive transaction on a small file of our own, which ends with the process that holds it. */
import type { Clock } from "../../../core/clock.js";
import { TailraceError } from "../../../core/errors.js";
import { type GroupId, theGroup } from "../../../core/vocabulary/ids.js";
import { FileLock } from "../source-lock.js";

export type TargetLock = FileLock;

const askAgainMs = 50;

/** A holder that ends meanwhile is succeeded; one that does not, though it may be stopped, keeps us waiting and then standing by. */
export async function takeTargetLock(
  options: { readonly path: string; readonly group: GroupId; readonly directory: string; readonly clock: Clock; readonly waitMs: number },
  signal: AbortSignal,
): Promise<TargetLock> {
  const { path, group, directory, clock, waitMs } = options;
  const deadline = clock.monotonicMs() + waitMs;
  for (;;) {
    const lock = FileLock.take(path, directory, group === theGroup ? "target" : `target-${group}`);
    if (lock.kind === "ours") return lock.lock;
    if (clock.monotonicMs() >= deadline) {
      throw new TailraceError("target.standing-by", {
        what: "Another sink holds the file",
        where: { path, lock: lock.file },
        cause: lock.cause,
      });
    }
    await clock.delay(askAgainMs, signal);
  }
}
