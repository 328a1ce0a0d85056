import type { CatalogueEntry } from "./catalogue-entry.js";

/** Codes of table groups; part of the one catalogue. */
export const groupErrors = {
  "plan.group-open": {
    verdict: "stop",
    cause: "A foreign key leads from one table group into another.",
    remedy: "Put both tables into one group in `groups:`, or leave both to `main`",
  },
  "plan.group-moved": {
    verdict: "stop",
    cause: "A table would move between two groups that stand at different places of the log.",
    remedy:
      "Leave the table in its group. A group that is new may take tables out of one that is there; to arrange groups anew: `tailrace destroy --yes`, `tailrace apply` and `tailrace run` copy everything",
  },
  "plan.group-renamed": {
    verdict: "stop",
    cause: "Settings have lost the name of a table group that is applied.",
    remedy:
      "Give the group the name it had: its route, its journal and applications that follow it know it by that name. To arrange groups anew: `tailrace destroy --yes`, `tailrace apply` and `tailrace run` copy everything",
  },
  "plan.group-file": {
    verdict: "stop",
    cause: "Tables of one DuckDB file would be switched over in several groups.",
    remedy:
      "Take `groups:` out of the settings: a DuckDB file belongs to one process and is fenced off as a whole, so all its tables go over together. To move them in steps, give the tables of each step a file and a pipeline of their own",
  },
} as const satisfies Record<string, CatalogueEntry>;
