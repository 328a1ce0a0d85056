/** Tables of the cutover. The route is what applications follow, in whatever language: one row, one trigger that tells of every change. */
import { comment, commented, type Migration } from "../migration.js";
import { quoteText } from "../quote.js";

/** LISTEN on it; the payload is `{"pipeline", "group", "side", "version"}` as JSON. */
export const routeChannel = "tailrace_route";

/** Of that time: a migration that was released stays as it is. */
const states = [
  "preparing",
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
]
  .map(quoteText)
  .join(", ");

/** For a migration that brings states: what may be stored from then on. */
export const allowStates = (allowed: readonly string[]): readonly string[] =>
  [
    ["cutover", "state"],
    ["cutover_step", "step"],
  ].map(
    ([table, column]) => `ALTER TABLE tailrace.${table} DROP CONSTRAINT ${table}_${column}_check,
  ADD CONSTRAINT ${table}_${column}_check CHECK (${column} IN (${allowed.map(quoteText).join(", ")}))`,
  );

export const cutoverMigration: Migration = {
  number: 3,
  name: "cutover and routes",
  statements: [
    `CREATE TABLE tailrace.route (
  pipeline text NOT NULL,
  group_id integer NOT NULL,
  side text NOT NULL DEFAULT 'source' CHECK (side IN ('source', 'paused', 'target')),
  version bigint NOT NULL DEFAULT 0,
  paused_on text CHECK (paused_on IN ('source', 'target')),
  changed_at timestamp with time zone NOT NULL DEFAULT now(),
  PRIMARY KEY (pipeline, group_id),
  CHECK ((side = 'paused') = (paused_on IS NOT NULL))
)`,
    ...commented("route", "Where applications write. Follow it by LISTEN tailrace_route and by reading the row now and then.", {
      pipeline: "Name of the pipeline.",
      group_id: "The group.",
      side: "source: write to the source database; paused: hold writes, it will not be long; target: write to this database.",
      version: "Rises with every change: what has a lower one is old news.",
      paused_on: "While paused: the side that goes on should the cutover be given up.",
      changed_at: "When it was changed last.",
    }),
    `CREATE FUNCTION tailrace.tell_route() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  PERFORM pg_notify('${routeChannel}', json_build_object('pipeline', NEW.pipeline, 'group', NEW.group_id, 'side', NEW.side, 'version', NEW.version)::text);
  RETURN NULL;
END $$`,
    comment("FUNCTION tailrace.tell_route()", "Tells listeners of every change of a route, whoever makes it."),
    "CREATE TRIGGER tell_route AFTER INSERT OR UPDATE ON tailrace.route FOR EACH ROW EXECUTE FUNCTION tailrace.tell_route()",
    `CREATE TABLE tailrace.cutover (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  pipeline text NOT NULL,
  group_id integer NOT NULL,
  kind text NOT NULL CHECK (kind IN ('cutover', 'rehearsal')),
  state text NOT NULL CHECK (state IN (${states})),
  holder text NOT NULL,
  held_since timestamp with time zone NOT NULL DEFAULT now(),
  token bigint NOT NULL DEFAULT 1,
  marker text NOT NULL,
  history bigint,
  ord bigint,
  idx bigint,
  pause_limit_ms integer NOT NULL,
  pause_ms double precision,
  abort_asked_at timestamp with time zone,
  error_code text,
  error_message text,
  started_at timestamp with time zone NOT NULL DEFAULT now(),
  finished_at timestamp with time zone
)`,
    "CREATE UNIQUE INDEX cutover_unfinished ON tailrace.cutover (pipeline, group_id) WHERE finished_at IS NULL",
    ...commented("cutover", "One row per cutover or rehearsal. The state is stored before it is acted on.", {
      id: "Rises with every run.",
      pipeline: "Name of the pipeline.",
      group_id: "The group.",
      kind: "cutover, or rehearsal: everything but the switch.",
      state: "What may have been begun. Ends as done (switched) or undone.",
      holder: "Process that runs it: user, host and process id.",
      held_since: "Since when.",
      token: "Raised by whoever takes it over; an older holder can change nothing any more.",
      marker: "Names the fence in the source.",
      history: "Position of the fence, first part.",
      ord: "Position of the fence, second part.",
      idx: "Position of the fence, third part.",
      pause_limit_ms: "Longer than this, writes may not wait: then everything goes back.",
      pause_ms: "How long writes were held or refused; for a rehearsal, how long they were.",
      abort_asked_at: "When somebody asked for it to be given up.",
      error_code: "Why it went back; tailrace explain CODE has the page.",
      error_message: "The same in words.",
      started_at: "When it began.",
      finished_at: "When it ended; null while it is under way or waits to be taken up again.",
    }),
    `CREATE TABLE tailrace.cutover_step (
  cutover_id bigint NOT NULL REFERENCES tailrace.cutover (id) ON DELETE CASCADE,
  ordinal integer NOT NULL,
  step text NOT NULL CHECK (step IN (${states})),
  began_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  ended_at timestamp with time zone,
  details jsonb NOT NULL DEFAULT '{}',
  PRIMARY KEY (cutover_id, ordinal)
)`,
    ...commented("cutover_step", "States that a cutover went through, with times: the journal.", {
      cutover_id: "Of tailrace.cutover.",
      ordinal: "1, 2, ...",
      step: "The state.",
      began_at: "When it was stored, before anything of it was done.",
      ended_at: "When the next one was stored; null: under way, or this is where a crash left it.",
      details: "What was done and measured in it.",
    }),
  ],
};
