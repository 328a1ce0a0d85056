/**
 * Named places where a process may be made to die, so that a test can reach the gap between two steps that a kill at random hardly ever meets.
 *
 * `TAILRACE_CRASH_AT=<point>:<n>` arms one: the process sends itself SIGKILL when it passes there for the n-th time; with `:stop` behind it SIGSTOP,
 * and it is a zombie that goes on with what it has in hand when it is continued. Without the variable a pass is one comparison with null. Each point says which half of a step is done; test/fault/crash-points.test.ts drives every one of them.
 */
export const crashPoints = {
  "source.read": "a batch was begun, nothing of it was sent",
  "source.schema-seen": "a table's schema is about to be registered",
  "source.schema-registered": "the schema is registered, no record names it yet",
  "source.chunk-read": "a chunk was read, its position is in no cut",
  "source.handoff-before": "the snapshot's end cut is about to be sent",
  "source.produce-before": "a request is complete and not sent",
  "source.produce-sent": "a request is on its way",
  "source.produce-part": "the first of a batch's requests is stored, the one with its cut is not",
  "source.produce-acked": "a request is stored, its writer has not noted it",
  "source.position-before": "a cut is stored, the source has not heard of it",
  "source.position-after": "the source has heard of a cut",
  "source.chunk-produced": "a cut with chunks is stored",
  "source.handoff-after": "the snapshot's end cut is stored",
  "source.log-pruned": "rows of the capture log were forgotten, the store was not trimmed",
  "source.store-trimmed": "records of the embedded log were forgotten",
  "source.claiming": "the source remembers an epoch that was not claimed",
  "source.claimed": "an epoch is claimed and has no start",
  "source.picked": "the place to go on from is known, no start says so",
  "source.started": "a start is stored, nothing follows it",
  "sink.own-before": "the lock is held, the owner's epoch is the old one",
  "sink.owned": "the owner's epoch is raised, nothing was read",
  "sink.seek-before": "a start is obeyed, no partition was sought",
  "sink.fetched": "records have come and are not decoded",
  "sink.decoded": "records are decoded and belong to no window yet",
  "sink.begun": "a transaction is open",
  "sink.fenced": "a transaction holds the fence",
  "sink.rows-part": "some of a window's rows are written",
  "sink.commit-before": "a window is complete, its COMMIT was not sent",
  "sink.commit-sent": "COMMIT is on its way",
  "sink.commit-done": "a window is committed, nobody was told",
  "sink.applied-published": "the log knows what the target has",
  "sink.ddl-before": "the snapshot has ended, no index was built",
  "sink.ddl-part": "some indexes and keys are built",
  "sink.ddl-after": "all are built and recorded",
} as const;
export type CrashPoint = keyof typeof crashPoints;

interface Armed {
  readonly point: CrashPoint;
  readonly signal: "SIGKILL" | "SIGSTOP";
  passesLeft: number;
}
const variable = "TAILRACE_CRASH_AT";
const armed = parse(process.env[variable]);

/** Dies here: the signal is delivered before the call returns. */
export function passing(point: CrashPoint): void {
  if (armed !== null && isDue(armed, point)) process.kill(process.pid, armed.signal);
}

/** Dies as soon as what was begun in this turn is handed to the system. */
export function leaving(point: CrashPoint): void {
  if (armed !== null && isDue(armed, point)) setImmediate(() => process.kill(process.pid, armed.signal));
}

function isDue(at: Armed, point: CrashPoint): boolean {
  if (at.point !== point) return false;
  at.passesLeft -= 1;
  return at.passesLeft === 0;
}

function parse(text: string | undefined): Armed | null {
  if (text === undefined || text === "") return null;
  const [name = "", passes = "1", how = "kill"] = text.split(":");
  if (!isCrashPoint(name) || !/^[1-9]\d{0,5}$/.test(passes) || !/^(kill|stop)$/.test(how))
    throw new Error(`${variable}=${text} names no crash point`);
  return { point: name, signal: how === "stop" ? "SIGSTOP" : "SIGKILL", passesLeft: Number(passes) };
}

function isCrashPoint(name: string): name is CrashPoint {
  return Object.hasOwn(crashPoints, name);
}
