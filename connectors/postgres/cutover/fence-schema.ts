/**
 * The write fence of PostgreSQL's side: a trigger on each table that looks at a sequence. A sequence, because its value is the same to everybody at once,
 * whatever snapshot a transaction has: one that began before the fence must meet it, too. That the triggers are there is a matter of the catalogue, which
 * no snapshot hides either.
 */
import { comment, commented, type Migration } from "../migration.js";

export const fenceTrigger = "tailrace_fence";
/** The sequence's value while the fence is kept: later than any clock. */
export const keptForever = "9000000000000000000";

export const fenceMigration: Migration = {
  number: 5,
  name: "rollback",
  statements: [
    "ALTER TABLE tailrace.cutover DROP CONSTRAINT cutover_kind_check",
    "ALTER TABLE tailrace.cutover ADD CONSTRAINT cutover_kind_check CHECK (kind IN ('cutover', 'rehearsal', 'rollback'))",
    comment("COLUMN tailrace.cutover.kind", "cutover; rehearsal: everything but the switch; rollback: a cutover back to the source."),
    `CREATE TABLE tailrace.fence (
  pipeline text NOT NULL,
  group_id integer NOT NULL,
  marker text,
  history bigint,
  lsn pg_lsn,
  passed bigint,
  until_sequence text NOT NULL,
  passed_sequence text NOT NULL,
  PRIMARY KEY (pipeline, group_id)
)`,
    ...commented(
      "fence",
      "One row per group: the fence that keeps applications from its tables in this database while they belong to the source.",
      {
        pipeline: "Name of the pipeline.",
        group_id: "The group.",
        marker: "Of the rollback that put it up; null: it is open.",
        history: "History of the stream back when it went up.",
        lsn: "Everything that applications wrote before it went up lies below.",
        passed: "How often passed_sequence had been raised when it went up: more says that something was written past it.",
        until_sequence: "Sequence whose value is when the lease ends (milliseconds since 1970); 9000000000000000000: never.",
        passed_sequence: "Sequence that is raised by whatever is written while the trigger is there and the lease is over.",
      },
    ),
    // The role that writes needs no right to what is ours.
    `CREATE FUNCTION tailrace.refuse_fenced() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  until_ms bigint;
BEGIN
  IF current_setting('tailrace.applying', true) = 'on' THEN
    RETURN NULL;
  END IF;
  EXECUTE format('SELECT last_value FROM tailrace.%I', TG_ARGV[0]) INTO until_ms;
  IF until_ms > extract(epoch FROM clock_timestamp()) * 1000 THEN
    RAISE EXCEPTION 'tailrace: writes are fenced off while the database is being switched over'
      USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'tailrace.route says where the application writes now.';
  END IF;
  PERFORM nextval(format('tailrace.%I', TG_ARGV[1])::regclass);
  RETURN NULL;
END $$`,
    comment("FUNCTION tailrace.refuse_fenced()", "Refuses writes to a table whose applications write to the source."),
  ],
};
