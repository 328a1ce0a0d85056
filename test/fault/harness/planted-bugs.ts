/**
 * The bugs that the fault suite must find: each is what somebody might write, or forget, in good faith. `finds` is what the suite is expected to
 * say. Where several parts of the design hold the same promise, the bug takes them all away, and says so: the fault suite looks at promises, not
 * at parts. Rules of the log protocol are planted one by one in test/property/protocol-rules.test.ts; a sink without its fence is found by
 * test/connectors/postgres/fencing.test.ts, since here what else holds a zombie back (its lock, its sessions) is quicker.
 */
import type { Patch } from "./plant.js";
import type { ScenarioName } from "./scenarios.js";

export interface PlantedBug {
  readonly name: string;
  readonly scenario: ScenarioName;
  readonly patches: readonly Patch[];
  readonly finds: RegExp;
  /** In every run; the others only with TAILRACE_TEST_LONG=1. */
  readonly always?: true;
}

const sourceHasNoLock: Patch = { file: "connectors/sqlite/source-lock", find: 'exec("BEGIN EXCLUSIVE")', put: 'exec("SELECT 1")' };

export const plantedBugs: readonly PlantedBug[] = [
  {
    name: "acknowledge before commit",
    scenario: "a window that waits, then a kill",
    patches: [
      {
        file: "services/sink/applier",
        find: "const { whole, counts } = await applyOrWiden",
        put: "publisher.publish(group, window.after());\n            const { whole, counts } = await applyOrWiden",
      },
    ],
    finds: /log\.gap/,
  },
  {
    name: "prune what the log has and the target has not",
    scenario: "a log that loses its tail",
    patches: [
      {
        file: "services/source/source-service",
        find: "applied: ours?.position ?? null, acknowledged",
        put: "applied: this.#position, acknowledged",
      },
    ],
    finds: /past for another one/,
  },
  {
    name: "trust a cut by offset",
    scenario: "a log that loses the tail of one topic",
    patches: [{ file: "core/log/rules", find: "countCheck: true", put: "countCheck: false" }],
    finds: /account|tx_ledger/,
  },
  {
    name: "go on at the newest cut, whole or not",
    scenario: "a log that loses the tail of one topic",
    patches: [{ file: "core/log/rules", find: "pickWhole: true", put: "pickWhole: false" }],
    finds: /nothing has moved|log\.undecided|account|tx_ledger/,
  },
  {
    name: "drop an empty transaction",
    scenario: "a transaction that changes nothing",
    patches: [
      {
        file: "core/log/cut-queue",
        find: "let cut = this.#pending(offset, first, obeyed);",
        put: "let cut = this.#pending(offset, first, obeyed);\n        if (cut.delta.size === 0) return null;",
      },
    ],
    finds: /nothing has moved/,
  },
  {
    name: "call a pushed-out row gone only if nobody speaks of it again",
    scenario: "a hostile application",
    patches: [{ file: "core/capture/hints", find: 'if (hint.op === "R" && row === null)', put: 'if (hint.op === "R" && false)' }],
    always: true,
    finds: /person|differ/,
  },
  {
    name: "commit the cut first and the rows in a second transaction",
    scenario: "a sink that dies at COMMIT",
    patches: [
      {
        file: "connectors/postgres/apply-window",
        find: 'passing("sink.commit-before");\n    const sent = pipelined.pipeline(queries);',
        put: 'await pipelined.pipeline([...queries.slice(0, 2), { text: "COMMIT" }]);\n    passing("sink.commit-before");\n    const sent = pipelined.pipeline([{ text: "BEGIN" }, { text: "SELECT 1" }, ...queries.slice(2)]);',
      },
    ],
    finds: /acknowledged to the application and not at the target/,
  },
  {
    // Two of them on two machines, where no file lock divides them.
    name: "ignore claims",
    scenario: "a source that is stopped with a request in hand",
    patches: [
      sourceHasNoLock,
      { file: "core/log/writer", find: "writerEpoch(highest + 1)", put: "writerEpoch(Math.max(1, highest))" },
      { file: "core/log/writer", find: "if (!firstClaim && foreign)", put: "if (false)" },
      { file: "core/log/claims", find: "this.rules.claimsRise ? record.epoch > this.#top", put: "false ? record.epoch > this.#top" },
      { file: "core/log/rules", find: "baseOffsets: true", put: "baseOffsets: false" },
    ],
    finds: /nothing has moved|log\.|ended with|differ|row/,
  },
  {
    // With the hint for the old key, which says the same once more.
    name: "skip the half of a key change that is a delete",
    scenario: "a hostile application",
    patches: [
      {
        file: "schemas/decoder",
        find: "new RekeyRecord(rows, record, { at, epoch, bytes, key, rowAt: after, from: this.#key(rows.table, old) })",
        put: 'new RowRecord(rows, record, { kind: "create", at, epoch, bytes, key, rowAt: after })',
      },
      {
        file: "connectors/sqlite/triggers",
        find: 'this.#log(this.#keyColumns(), `SELECT ${this.#head("R")}, ${oldKey} WHERE ${hasMoved}`),',
        put: "",
      },
    ],
    finds: /account|person|vault|the bank holds|target\.constraint/,
  },
  {
    name: "merge a chunk and delete nothing",
    scenario: "a row too many, then a re-read",
    patches: [
      {
        file: "connectors/postgres/write-segments",
        find: "statements.deleteRange(range, rows.map((row) => statements.keyOf(row))),",
        put: "",
      },
    ],
    always: true,
    finds: /bulk/,
  },
  {
    name: "forget the anchors after a restore",
    scenario: "a restored source",
    patches: [
      {
        file: "core/capture/anchor",
        find: "const seq = past.at.order;\n    if (newest < seq)",
        put: "const seq = past.at.order;\n    return newest >= seq;\n    if (newest < seq)",
      },
    ],
    finds: /differ|row|nothing has moved|source ended/,
  },
  {
    name: "end a batch in the middle of a transaction",
    scenario: "a hostile application",
    patches: [
      {
        file: "core/capture/capture-reader",
        find: "const until = view.newest();\n        const rows",
        put: "const until = Math.min(view.newest(), start.last + 5);\n        const rows",
      },
    ],
    finds: /the bank holds/,
  },
];
