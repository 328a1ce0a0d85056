/** The end of a cutover that nobody will take back: what the way back is made of is removed. The fence of the old file stays. */
import { isFinished } from "../../core/cutover/states.js";
import { TailraceError } from "../../core/errors.js";
import { type ExitCode, exits } from "../exit-codes.js";
import { type Invocation, requireYes } from "../invocation.js";
import { formatMs } from "../output/format.js";
import { type CutoverWork, withCutover } from "./open.js";

export async function finish(invocation: Invocation): Promise<ExitCode> {
  requireYes(invocation, "cutover finish");
  return await withCutover(
    invocation,
    () => {},
    async (open) => {
      const { parts, settings } = open;
      await refuseEarly(invocation, open);
      const removed = [
        ...((await parts.wayBack?.close(parts.group, invocation.signal)) ?? []),
        ...(await parts.back.forget(invocation.signal)),
      ];
      invocation.out.answer({
        kind: "CutoverFinish",
        data: { pipeline: settings.pipeline, removed },
        next: ["tailrace destroy --yes --open-source"],
        text: () =>
          removed.length === 0
            ? "nothing of a way back was left"
            : ["the cutover stands for good; removed:", ...removed.map((line) => `  ${line}`)].join("\n"),
      });
      return exits.done;
    },
  );
}

async function refuseEarly({ options, signal }: Invocation, { parts: { desk, group } }: CutoverWork): Promise<void> {
  const route = await desk.route(group, signal);
  const last = await desk.last(group, signal);
  const refuse = (what: string): never => {
    throw new TailraceError("cutover.refused", { what });
  };
  if (last !== null && !isFinished(last.state)) refuse(`A ${last.kind} is under way, or was left at '${last.state}'`);
  if (route.side !== "target") refuse(`Applications write to the ${route.side}: there is no cutover that could be finished`);
  const keepMs = options.durationMs("keepReverse");
  const switched = last?.finishedAt ?? null;
  if (keepMs === null || switched === null) return;
  const leftMs = Date.parse(switched) + keepMs - Date.now();
  if (leftMs > 0) refuse(`The way back is to stay open for another ${formatMs(leftMs)} (--keep-reverse)`);
}
