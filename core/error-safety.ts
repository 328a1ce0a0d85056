/**
 * What an operator may rely on when an error has happened: the sentence between cause and remedy. One per family of codes, and one of its own
 * for each code that says something else.
 */
import type { ErrorCode } from "./error-catalogue.js";

const nothingChanged = "Nothing was changed";
const waits =
  "Nothing is lost: what the application commits waits in the source's capture log, and the target stays at its last whole transaction";
const rolledBack = "Nothing of the window was applied: the target stays at the whole transaction before it, and the log keeps what follows";

const families: Readonly<Record<string, string>> = {
  settings: nothingChanged,
  usage: nothingChanged,
  "not-yet": nothingChanged,
  plan: nothingChanged,
  embedded: nothingChanged,
  http: nothingChanged,
  log: waits,
  registry: waits,
  schema: waits,
  source: "Nothing is lost: the application goes on, and the target stays at its last whole transaction",
  table: "Other tables are not affected, and nothing of this one was moved",
  value: rolledBack,
  target: rolledBack,
  verify: "Verification only reads: both sides are as they were",
  cutover: nothingChanged,
};

const special: Readonly<Partial<Record<ErrorCode, string>>> = {
  internal: "What is committed at the target is whole and stays; the next start goes on from there",
  "log.undecided": "No record of the cut was applied, and none is lost: the source still has what it stands for",
  "log.gap":
    "What is at the target is whole as of its last transaction; what was deleted from the topic is not there, so it has to be copied anew",
  "log.identity": "Nothing of the other log was applied: the target stays as it was",
  "log.damaged": "The source and the target are as they were",
  "log.full": "What the log has acknowledged is there; everything else waits in the source's capture log, which grows meanwhile",
  "source.full": "What is committed at the source is there. The application cannot write either until there is room",
  "source.schema-changed": "What was committed before the change is carried over exactly; what came after it waits for `tailrace apply`",
  "source.log-damaged":
    "The tables of the application are not affected; the target stays at its last whole transaction until they are read again",
  "target.undecided": "The transaction is at the target as a whole or not at all, and its position says which",
  "target.version": nothingChanged,
  "target.encoding": nothingChanged,
  "target.privileges": "Nothing of the statement was done: its transaction was rolled back",
  "target.credentials": nothingChanged,
  "target.tls": "Nothing was sent: neither password nor rows",
  "log.tls": "Nothing was sent: neither password nor records",
  "target.table-differs": "The table that is there was not touched",
  "target.table-not-empty": "The rows that are there were not touched",
  "target.constraints-in-the-way": "The table that is there was not touched",
  "target.newer-state": "Nothing was read or written: the newer version can go on",
  "target.fenced": "Nothing of ours was committed after the other one took over",
  "target.standing-by": "The sink that holds the target is not disturbed",
  "source.pruned": "Nothing is lost: only what the target has committed was forgotten",
  "source.locked": "The process that holds the file is not disturbed",
  "log.claimed": "Nothing of ours counts behind the other writer's claim; what it writes is whole",
};

export const whatIsSafe = (code: ErrorCode): string =>
  special[code] ?? families[code.includes(".") ? code.slice(0, code.indexOf(".")) : code] ?? waits;
