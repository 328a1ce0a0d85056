/** Codes of verification: part of core/error-catalogue.ts, which says what each field means. */
import type { CatalogueEntry } from "./catalogue-entry.js";

export const verifyErrors = {
  "source.pruned": {
    verdict: "retry",
    cause: "The part of the capture log that is asked for was forgotten, or belongs to another past.",
    remedy: "Nothing to do; what it would have told is read from the tables again",
  },
  "verify.differs-in-kind": {
    verdict: "stop",
    cause: "A target table or its mapping is not what the plan says, so that comparing rows would say nothing.",
    remedy: "Run `tailrace plan` to see the difference, then `tailrace apply`",
  },
  "verify.scope-too-large": {
    verdict: "retry",
    cause: "A range of keys holds more rows than are compared at once.",
    remedy: "Nothing to do; the range is cut again",
  },
  "verify.not-settled": {
    verdict: "retry",
    cause: "Rows of a table are still being copied: what is missing may be on its way.",
    remedy: "Wait for the copy to end (`tailrace wait caught-up`), then verify again",
  },
  "verify.file-aside": {
    verdict: "stand-by",
    cause: "The application was switched over, and its DuckDB file lies aside: it is opened for what comes back alone.",
    remedy:
      "`tailrace snapshot --all` compares both sides and tells the file again what differs; `tailrace rollback run` compares every row before it switches",
  },
  "verify.no-way-back": {
    verdict: "stand-by",
    cause: "Applications write to PostgreSQL, and nothing carries their changes back: the source stands still, and differs as it must.",
    remedy: "Nothing to do: there is nothing to compare. The next cutover that opens a way back can be verified in both directions",
  },
  "verify.other-direction": {
    verdict: "retry",
    cause: "Applications were switched over to the other side while both were compared.",
    remedy: "Nothing to do; both sides are compared again the other way round",
  },
  "verify.put-off": {
    verdict: "retry",
    cause: "Verification cannot go on for now.",
    remedy: "Mend what is named; the verify service looks again by itself",
  },
  "verify.unproven": {
    verdict: "stop",
    cause: "What changed since the tables were proven equal cannot be told, or they never were.",
    remedy: "Run `tailrace verify run`, and keep `tailrace run verify` going so that the proof is kept up",
  },
  "verify.not-there": {
    verdict: "retry",
    cause: "The target has not applied what the source was read at.",
    remedy: "Check that source and sink run (`tailrace status`); then verify again",
  },
} as const satisfies Record<string, CatalogueEntry>;
