/**
 * The schema `tailrace`: numbered migrations, each applied once, in order, in the transaction of `prepare`. The tables are public interface:
 * dashboards query them, so every table and column says what it holds, and a released migration is never edited.
 */
import { TailraceError } from "../../core/errors.js";
import type { Connection } from "./connection.js";
import { fenceMigration } from "./cutover/fence-schema.js";
import { cutoverMigration } from "./cutover/schema.js";
import { comment, commented, type Migration } from "./migration.js";
import { quoteText } from "./quote.js";
import { wayBackMigration } from "./source/schema.js";
import { verificationTables } from "./verification-schema.js";

const first: Migration = {
  number: 1,
  name: "pipeline, tables and groups",
  statements: [
    "CREATE SCHEMA tailrace",
    comment("SCHEMA tailrace", "State of Tailrace pipelines that write to this database. Read it freely; write nothing."),
    `CREATE TABLE tailrace.migration (
  number integer PRIMARY KEY,
  name text NOT NULL,
  applied_at timestamp with time zone NOT NULL DEFAULT now()
)`,
    ...commented("migration", "Versions of this schema that were applied.", {
      number: "1, 2, … without gaps.",
      name: "What it brought.",
      applied_at: "When it was applied.",
    }),
    // Updated with every window: room on the page keeps the update away from the index, and dead versions are few.
    `CREATE TABLE tailrace.pipeline (
  pipeline text NOT NULL,
  group_id integer NOT NULL,
  direction text NOT NULL CHECK (direction IN ('forward', 'reverse')),
  active boolean NOT NULL,
  owner_epoch bigint NOT NULL DEFAULT 0,
  backend_pids integer[] NOT NULL DEFAULT '{}',
  log_id text,
  history bigint,
  ord bigint,
  idx bigint,
  writer_epoch bigint,
  counts jsonb,
  cut_offset bigint,
  ends jsonb,
  anchor bytea,
  phase text CHECK (phase IN ('snapshot', 'streaming')),
  marker text,
  updated_at timestamp with time zone NOT NULL DEFAULT now(),
  PRIMARY KEY (pipeline, group_id, direction)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200)`,
    ...commented(
      "pipeline",
      "One row per pipeline, group and direction: the applied cut, stored in the transaction of the rows it covers.",
      {
        pipeline: "Name of the pipeline.",
        group_id: "Tables that are applied together; 1 until groups can be declared.",
        direction: "forward: source to PostgreSQL; reverse: back.",
        active: "Only an active direction can commit windows.",
        owner_epoch: "Raised by each sink that takes over; an older one can commit nothing any more.",
        backend_pids: "Sessions of the owner.",
        log_id: "The log that the rows come from; null before the first window.",
        history: "Applied position, first part: raised when the source's past was replaced.",
        ord: "Applied position, second part: the capture's own number.",
        idx: "Applied position, third part: 0 for a live change, 1, 2, … for rows of a chunk.",
        writer_epoch: "Epoch of the writer whose cut was applied last.",
        counts: "Records by topic, since the log began.",
        cut_offset: "Offset of that cut in the topic .cuts.",
        ends: "Where the reader goes on, by topic and partition.",
        anchor: "Identifies the source's past at the position.",
        phase: "snapshot: half transactions may be visible; streaming: whole ones only.",
        marker: "The newest marker that was passed.",
        updated_at: "When the last window was applied.",
      },
    ),
    // The plan goes out of line, so that updating totals does not copy it.
    `CREATE TABLE tailrace.pipeline_table (
  pipeline text NOT NULL,
  group_id integer NOT NULL,
  direction text NOT NULL,
  source text NOT NULL,
  ordinal integer NOT NULL,
  planned boolean NOT NULL DEFAULT true,
  created_by_us boolean NOT NULL,
  finished boolean NOT NULL DEFAULT false,
  repair text,
  dropped_at timestamp with time zone,
  taken bigint NOT NULL DEFAULT 0,
  folded bigint NOT NULL DEFAULT 0,
  applied bigint NOT NULL DEFAULT 0,
  filtered bigint NOT NULL DEFAULT 0,
  quarantined bigint NOT NULL DEFAULT 0,
  replayed bigint NOT NULL DEFAULT 0,
  left_out jsonb NOT NULL DEFAULT '[]',
  plan jsonb NOT NULL,
  PRIMARY KEY (pipeline, group_id, direction, source)
) WITH (fillfactor = 50, toast_tuple_target = 256, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500)`,
    ...commented("pipeline_table", "One row per table: how it is mapped, what became of its changes, what could not be built.", {
      pipeline: "Name of the pipeline.",
      group_id: "The table's group.",
      direction: "forward or reverse.",
      source: "Name of the table at the source.",
      ordinal: "Parents have lower numbers than children.",
      planned: "False: it was in an earlier plan and is no longer.",
      created_by_us: "True: destroy may drop the target table.",
      finished: "Indexes, unique constraints and foreign keys are built, or given up for the reasons in left_out.",
      repair: "The re-read under which unique constraints and foreign keys of the table are off; null: none.",
      dropped_at: "When the source was found to have dropped the table.",
      taken: "Changes taken from the log = folded + applied + filtered + quarantined + replayed.",
      folded: "Superseded by a later change of the same key in the same window.",
      applied: "Written as part of a set, those that changed nothing included.",
      filtered: "Left out by the mapping.",
      quarantined: "Set aside.",
      replayed: "Written one by one in source order, after the set met a constraint.",
      left_out: "Objects that cannot be built: [{object, why}].",
      plan: "How the table is mapped.",
    }),
    `CREATE TABLE tailrace.consistency_group (
  pipeline text NOT NULL,
  group_id integer NOT NULL,
  prefix text NOT NULL,
  paused boolean NOT NULL DEFAULT false,
  paused_at timestamp with time zone,
  PRIMARY KEY (pipeline, group_id)
)`,
    ...commented("consistency_group", "What operators ask for, per group. Never the row that applying locks.", {
      pipeline: "Name of the pipeline.",
      group_id: "The group.",
      prefix: "Prefix of its topics.",
      paused: "True: the sink waits between windows.",
      paused_at: "Since when.",
    }),
  ],
};

const migrations: readonly Migration[] = [first, verificationTables, cutoverMigration, wayBackMigration, fenceMigration];

/** In order; empty when the schema is up to date. */
export async function pendingMigrations(connection: Connection): Promise<readonly string[]> {
  const done = (await stateExists(connection)) ? await newestMigration(connection) : 0;
  const newest = migrations.length;
  if (done > newest) {
    throw new TailraceError("target.newer-state", {
      what: `The schema tailrace is at version ${done}, and this Tailrace knows ${newest}`,
    });
  }
  return migrations
    .filter(({ number }) => number > done)
    .flatMap(({ number, name, statements }) => [
      ...statements,
      `INSERT INTO tailrace.migration (number, name) VALUES (${number}, ${quoteText(name)})`,
    ]);
}

/** Without it nothing was ever prepared here, and every question about a pipeline has the answer of an empty database. */
export async function stateExists(connection: Connection): Promise<boolean> {
  const [row] = await connection.rows<{ found: boolean }>("SELECT to_regclass('tailrace.migration') IS NOT NULL AS found");
  return row?.found === true;
}

async function newestMigration(connection: Connection): Promise<number> {
  const [row] = await connection.rows<{ number: number }>("SELECT coalesce(max(number), 0) AS number FROM tailrace.migration");
  return row?.number ?? 0;
}
