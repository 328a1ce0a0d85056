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
} as const satisfies Record<string, CatalogueEntry>;
