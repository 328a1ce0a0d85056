/** The end of a fault run: everything healed, every oracle asked. An empty list is a proof; anything else says what went wrong. */
import { bankSum } from "../../support/hostile/schema.mjs";
import { conservationFaults } from "../../support/oracles/conservation.js";
import { applicationFaults, ledgerFaults } from "../../support/oracles/ledger.js";
import { differences } from "../../support/oracles/tables-equal.js";
import { until } from "../../support/oracles/until.js";
import { Watcher } from "../../support/oracles/watcher.js";
import { stretched } from "./pace.js";
import { names, type TestPipeline } from "./pipeline.js";
import { knownPlace } from "./place.js";

/** Without any progress for so long, it hangs. With progress a slow machine may take longer. */
export const livenessMs = 30_000;
const longestMs = 600_000;
/** One sink holds a lock, two connections for windows, and now and then one to look. */
const backendsMax = 6;

/** What is asked of a pipeline to wait for it, and to judge it. */
type Followed = Pick<TestPipeline, "place" | "newestCaptured" | "revive" | "describe">;
type Judgeable = Pick<TestPipeline, "name" | "file" | "application" | "client">;

export const watch = (pipeline: Pick<TestPipeline, "url" | "name">): Watcher =>
  new Watcher({ url: pipeline.url, pipeline: pipeline.name, bankSum });

/**
 * O6: everything that is committed now reaches the target in time, or the wait says where it hangs. The application stands still.
 * `history`: the least that must be reached, for a past that was replaced.
 */
export async function caughtUp(pipeline: Followed, { history = 0 } = {}): Promise<void> {
  const seen = { place: "nothing", since: performance.now() };
  const done = async (): Promise<boolean> => {
    pipeline.revive();
    const place = await pipeline.place();
    const newest = pipeline.newestCaptured();
    const now = `${JSON.stringify(place)}, the capture log ends at ${newest}`;
    if (now !== seen.place) seen.since = performance.now();
    seen.place = now;
    if (performance.now() - seen.since > stretched(livenessMs))
      throw new Error(`nothing has moved for ${livenessMs} ms: ${now}\n${pipeline.describe()}`);
    return place !== null && place.phase === "streaming" && place.repairs === 0 && place.history >= history && place.order >= newest;
  };
  await until(done, longestMs, () => `the target did not catch up: it is at ${seen.place}\n${pipeline.describe()}`);
}

export async function streaming(pipeline: TestPipeline): Promise<void> {
  const done = async (): Promise<boolean> => {
    pipeline.revive();
    return (await pipeline.place())?.phase === "streaming";
  };
  await until(done, longestMs, () => `the snapshot does not end\n${pipeline.describe()}`);
}

/** Fewer glances at the streaming phase would prove nothing. */
const glancesLeast = 100;

/** Until the watcher has looked often enough: a machine that stalls takes its time as well, and time alone promises no number. */
export async function watched(pipeline: Pick<TestPipeline, "revive">, watcher: Watcher): Promise<void> {
  const enough = (): boolean => {
    pipeline.revive();
    return watcher.looked >= glancesLeast;
  };
  await until(enough, longestMs, () => `the watcher saw the streaming phase only ${watcher.looked} times`);
}

export interface Judged {
  readonly watcher?: Watcher;
  /** Restored pasts take acknowledged transactions back; then the ledger says nothing. */
  readonly ledger?: boolean;
  /** The only one there may be, when nobody replaced the source's past. */
  readonly history?: number;
  /** How often the watcher has to have looked at the least. */
  readonly glances?: number;
}

/** Call when caught up and the application has stopped. Ends the services. */
export async function judge(
  pipeline: TestPipeline,
  { watcher, ledger = true, history, glances = glancesLeast }: Judged = {},
): Promise<readonly string[]> {
  const faults: string[] = [];
  // What it has seen may all lie behind it by now: then it looks on until it has looked often enough, and one that never does is a fault.
  if (watcher !== undefined)
    await until(
      () => watcher.looked >= glances,
      livenessMs,
      () => "",
    ).catch(() => {});
  const seen = await watcher?.stop();
  if (seen !== undefined) {
    faults.push(...seen.faults.map((fault) => `seen from outside: ${fault}`));
    if (seen.looked < glances) faults.push(`the watcher saw the streaming phase only ${seen.looked} times`);
  }
  faults.push(...(await judgeRows(pipeline, { ledger })));
  if (history !== undefined && (await knownPlace(pipeline)).history !== history) faults.push("the source took its past for another one");
  faults.push(...(await boundsFaults(pipeline)));
  return faults;
}

/** What both sides hold, and what the application saw. The services go on. */
export async function judgeRows(pipeline: Judgeable, { ledger }: { readonly ledger: boolean }): Promise<readonly string[]> {
  const client = await pipeline.client();
  try {
    const report = pipeline.application.report();
    return [
      ...applicationFaults(report),
      ...(ledger ? await ledgerFaults(pipeline.file, client, report) : []),
      ...(await differences(pipeline.file, client, names)).map(({ table, what }) => `${table}: ${what}`),
      ...(await conservationFaults(client, pipeline.name)),
    ];
  } finally {
    await client.end();
  }
}

/** O9. Ends the services: what they took is in bounds, and nothing of them is left. */
async function boundsFaults(pipeline: TestPipeline): Promise<readonly string[]> {
  // Of a process that was killed a session may still be at its last statement.
  let running = 0;
  const few = async (): Promise<boolean> => (running = await pipeline.backends()) <= backendsMax;
  await until(few, livenessMs, () => "").catch(() => {});
  await pipeline.stopServices();
  const gone = async (): Promise<boolean> => (await pipeline.backends()) === 0;
  const left = await until(gone, livenessMs, () => "sessions at PostgreSQL outlive their processes").then(
    () => [],
    (error: unknown) => [String(error)],
  );
  return [
    ...pipeline.bounds.faults(),
    ...(running > backendsMax ? [`${running} sessions at PostgreSQL, more than ${backendsMax}`] : []),
    ...left,
    ...pipeline.leftBehind().map((name) => `a temporary file was left behind: ${name}`),
    ...pipeline.unknownFiles().map((name) => `a file was left behind: ${name}`),
  ];
}
