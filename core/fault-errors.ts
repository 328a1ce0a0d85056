/** Codes of what goes wrong beneath or around the services: part of core/error-catalogue.ts, which says what each field means. */
import type { CatalogueEntry } from "./catalogue-entry.js";

export const faultErrors = {
  "log.other-past": {
    verdict: "retry",
    cause:
      "What the target has applied is not what the source's log holds at that position: the source was restored, and at the same time the log lost what came after.",
    remedy: "Nothing to do; the source reads every table again under a new history",
  },
  "session.stuck": {
    verdict: "retry",
    cause: "A call to the log has not come back for far longer than it may take.",
    remedy: "Nothing to do: the session is begun again. If it happens more than once, report it with the log",
  },
  "process.stuck": {
    verdict: "stop",
    cause: "A part of the process does not move any more: it does not end when told to, or the event loop is blocked.",
    remedy: "The process ends so that whoever supervises it starts it again; nothing is lost. Report it with the log",
  },
  "process.descriptors": {
    verdict: "retry",
    cause: "The process, or the machine, has no file descriptor left.",
    remedy: "Raise the limit (`ulimit -n`, `LimitNOFILE=` of the unit); the service goes on by itself",
  },
  "source.damaged": {
    verdict: "stop",
    cause: "Pages of the database file are damaged.",
    remedy:
      "See what `PRAGMA integrity_check` says and put a good backup in the file's place; at the next start the source notices and reads everything again",
  },
} as const satisfies Record<string, CatalogueEntry>;
