/** Tables of the way back: what was opened, how far it has come, and the markers that travel it. */
import { allowStates } from "../cutover/schema.js";
import { commented, type Migration } from "../migration.js";

/** Of cutovers, from here on: the way back is opened before any write waits. */
const states = [
  "preparing",
  "opening",
  "pausing",
  "fencing",
  "draining",
  "checking",
  "readying",
  "keeping",
  "switching",
  "switched",
  "undoing",
  "done",
  "undone",
];

export const wayBackMigration: Migration = {
  number: 4,
  name: "way back",
  statements: [
    ...allowStates(states),
    `CREATE TABLE tailrace.way_back (
  pipeline text NOT NULL,
  group_id integer NOT NULL,
  slot text NOT NULL,
  publication text NOT NULL,
  opening text NOT NULL,
  history bigint NOT NULL DEFAULT 1,
  start_lsn pg_lsn,
  confirmed_lsn pg_lsn,
  writer_epoch bigint NOT NULL DEFAULT 0,
  columns jsonb NOT NULL,
  identities jsonb NOT NULL,
  changed_at timestamp with time zone NOT NULL DEFAULT now(),
  PRIMARY KEY (pipeline, group_id)
)`,
    ...commented("way_back", "One row per group whose changes are, or once were, carried back to the source.", {
      pipeline: "Name of the pipeline.",
      group_id: "The group.",
      slot: "Replication slot that keeps PostgreSQL's log until the source has what it tells.",
      publication: "Publication of the group's tables.",
      opening: "Names this opening: the slot of another one begins elsewhere.",
      history: "First part of the positions of what is told.",
      start_lsn: "Where the slot begins; null: the way back is not open.",
      confirmed_lsn: "The slot was never told that it may forget more than this.",
      writer_epoch: "Highest epoch of a writer of its log.",
      columns: "Columns of each table when it was opened.",
      identities: "REPLICA IDENTITY of each table that was altered, as it was before.",
      changed_at: "When it was opened or closed.",
    }),
    `CREATE TABLE tailrace.marker (
  pipeline text NOT NULL,
  group_id integer NOT NULL,
  marker text NOT NULL,
  asked_at timestamp with time zone NOT NULL DEFAULT now(),
  PRIMARY KEY (pipeline, group_id, marker)
)`,
    ...commented(
      "marker",
      "A row here travels the way back like a change and says at the other end that everything before it has arrived.",
      {
        pipeline: "Name of the pipeline.",
        group_id: "The group.",
        marker: "Its name.",
        asked_at: "When it was written; rows of yesterday are removed by the next one.",
      },
    ),
    `CREATE TABLE tailrace.touch (
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  pipeline text NOT NULL,
  group_id integer NOT NULL,
  source text NOT NULL,
  key jsonb NOT NULL,
  cells jsonb
)`,
    ...commented(
      "touch",
      "A row here travels the way back and says at the other end what a row of a table is. It is removed by the transaction that writes it.",
      {
        number: "Counts them.",
        pipeline: "Name of the pipeline.",
        group_id: "The group.",
        source: "The table, as the source calls it.",
        key: "The row's key, as PostgreSQL prints it.",
        cells: "Its columns, as the plan orders them; null: there is no such row.",
      },
    ),
  ],
};
