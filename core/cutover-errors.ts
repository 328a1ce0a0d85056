/** Codes of the cutover; part of the one catalogue. */
import type { CatalogueEntry } from "./catalogue-entry.js";
import { wayBackErrors } from "./way-back-errors.js";

export const cutoverErrors = {
  "cutover.fence-lost": {
    verdict: "stop",
    cause:
      "The write fence did not hold from the last write to the switch: its lease ran out, or something was written or altered meanwhile.",
    remedy:
      "Nothing was switched, and the application goes on at the source. Run `tailrace cutover run` again; look at the load of this machine",
  },
  "cutover.fence-taken": {
    verdict: "stop",
    cause: "The write fence of another cutover stands.",
    remedy: "`tailrace cutover status` says whose it is; `tailrace cutover abort` takes it away unless the switch was made",
  },
  "cutover.fence-kept": {
    verdict: "stop",
    cause:
      "The source is fenced off for good because the application was switched to PostgreSQL; without its triggers it could be written again.",
    remedy: "Once nothing can write to the old file any more, `tailrace destroy --yes --open-source` takes the fence away with the rest",
  },
  "cutover.no-fence": {
    verdict: "stop",
    cause: "The source cannot be fenced off as it is. Nothing was changed.",
    remedy:
      "Mend what is named; or stop the application, then `tailrace wait caught-up`, `tailrace verify run`, and start it on PostgreSQL (docs/cutover.md, DuckDB)",
  },
  "cutover.file-open": {
    verdict: "stop",
    cause:
      "Somebody has the DuckDB file open. It belongs to the one process that has it, which cannot be made to let go: an application on the route closes it when the route is paused.",
    remedy:
      "Nothing was switched. Let the application follow its route, or stop it; close other programs that have the file; then run it again",
  },
  "cutover.refused": {
    verdict: "stop",
    cause: "A check before the cutover, or the rollback, failed; nothing was changed.",
    remedy:
      "Mend what is named and run it again; `tailrace cutover preflight`, of a rollback `tailrace rollback plan`, lists every check. `--accept NAME` passes over one that may be",
  },
  "cutover.held": {
    verdict: "stop",
    cause: "Another operator runs a cutover of this pipeline.",
    remedy: "Wait for it, or `tailrace cutover abort` asks it to go back; `tailrace cutover status` shows where it is",
  },
  "cutover.taken-over": {
    verdict: "stop",
    cause: "Another operator has taken this cutover over, because this process did not answer.",
    remedy: "Leave it to the other one; `tailrace cutover status` shows where it is",
  },
  "cutover.aborted": {
    verdict: "stop",
    cause: "Somebody asked for the cutover to be given up.",
    remedy: "Nothing was switched; `tailrace cutover run` begins anew",
  },
  "cutover.late": {
    verdict: "stop",
    cause: "A step took longer than the write pause may last, or than it is given.",
    remedy:
      "Nothing was switched. Run it at a quieter time, or allow more with `--max-pause`; `tailrace cutover rehearse` measures each step",
  },
  "cutover.differ": {
    verdict: "stop",
    cause: "Source and target were not equal behind the fence.",
    remedy:
      "Nothing was switched. `tailrace verify run` names the rows and `tailrace verify repair` mends them; then run the cutover again",
  },
  "cutover.past-replaced": {
    verdict: "stop",
    cause: "The source's past was replaced (a restore) while the cutover ran.",
    remedy: "Nothing was switched. Wait until the target has caught up again, then run it anew",
  },
  "cutover.route-moved": {
    verdict: "stop",
    cause: "The route was changed by somebody else while the cutover ran.",
    remedy: "Nothing was switched by this run. `tailrace cutover status` shows the route and who moved it",
  },
  "cutover.switched": {
    verdict: "stand-by",
    cause: "The pipeline was switched over: the application writes to PostgreSQL, and nothing more flows forward.",
    remedy: "Nothing to do. The source database stays fenced off",
  },
  "cutover.ahead": {
    verdict: "stop",
    cause:
      "The application was switched over and writes to PostgreSQL, and what is asked for is about the file as the side that is written to.",
    remedy: "`tailrace rollback run` brings the application home first; where no way back is open, `tailrace cutover reopen` opens one",
  },
  "cutover.not-ready": {
    verdict: "stop",
    cause: "The target could not be made ready for the application's writes.",
    remedy: "Nothing was switched. Read what PostgreSQL says of the object named, mend it and run the cutover again",
  },
  "cutover.no-way-back": {
    verdict: "stop",
    cause: "The way back could not be proven: what was written at PostgreSQL did not arrive in the source's file.",
    remedy:
      "Nothing was switched. See that `tailrace run` (or `tailrace run reverse`) is running and what `tailrace status` says of the way back; `--accept way-back` goes without one",
  },
  "cutover.hook": {
    verdict: "stop",
    cause: "A hook that should tell applications of the route failed.",
    remedy: "The route itself stands in tailrace.route. Do by hand what the hook does, and mend the hook",
  },
  ...wayBackErrors,
} as const satisfies Record<string, CatalogueEntry>;
