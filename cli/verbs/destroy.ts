import { existsSync, rmSync } from "node:fs";
import { asTailraceError, describeError, TailraceError } from "../../core/errors.js";
import type { Settings } from "../../core/settings.js";
import { backPrefix, topicSpecs } from "../../core/topics.js";
import { type GroupId, type TableId, theGroup } from "../../core/vocabulary/ids.js";
import { removeEmbeddedPostgres } from "../../connectors/postgres/embedded.js";
import { type ExitCode, exits } from "../exit-codes.js";
import { type Invocation, usage, type Verb } from "../invocation.js";
import { describeLog, describeTarget, embeddedDirectory } from "../pipeline/places.js";
import { withLog } from "../pipeline/proposal.js";
import { installedGroups, installedTables, isFencedOff, openInstaller, sourceTraces } from "../pipeline/source.js";
import { withTarget } from "../pipeline/target.js";

/** One place that traces lie in: what would go, or went, or why not. */
interface Place {
  readonly place: "source" | "log" | "target";
  readonly where: string;
  readonly items: readonly string[];
  readonly error: TailraceError | null;
}

/**
 * The source comes first: it is the application's, and it must be freed even when everything else is gone. What cannot be reached is said,
 * and a second run finds it.
 */
export const verb: Verb = async (invocation) => {
  const { settings } = await invocation.settings();
  const tables = invocation.options.flag("tables");
  const known = knownTables(settings);
  if (!invocation.globals.yes) {
    list(invocation, settings, { known, tables });
    throw usage("destroy wants --yes; nothing was changed");
  }
  refuseOpening(settings, invocation.options.flag("openSource"));
  invocation.stage("changing");
  const places: Place[] = [
    await attempt("source", settings.source.path, () => destroySource(settings)),
    await attempt("log", describeLog(settings), () => destroyLog(settings, known, invocation.signal)),
    await attempt("target", describeTarget(settings), () => destroyTarget(settings, tables, invocation.signal)),
  ];
  return report(invocation, settings, places);
};

/** Two writable sides are what a cutover promised would never be. */
function refuseOpening(settings: Settings, mayOpen: boolean): void {
  const isThere = settings.source.kind === "duckdb" || existsSync(settings.source.path);
  if (mayOpen || !isThere || !isFencedOff(settings)) return;
  throw new TailraceError("cutover.fence-kept", {
    what: "The source is fenced off since a cutover",
    where: { path: settings.source.path },
  });
}

interface Known {
  readonly tables: readonly TableId[];
  readonly groups: readonly GroupId[];
}

function knownTables(settings: Settings): Known {
  try {
    return { tables: installedTables(settings), groups: [...new Set([theGroup, ...installedGroups(settings)])] };
  } catch {
    // The source is gone: its topics cannot be named here.
    return { tables: [], groups: [theGroup] };
  }
}

/** Those of the way back are there once a cutover has opened it. */
const topicNames = ({ prefix }: Settings, { tables: known, groups }: Known) =>
  [prefix, ...groups.map((group) => backPrefix(prefix, group))].flatMap((of) => topicSpecs(of, known).map(({ topic }) => topic));

function list({ out }: Invocation, settings: Settings, { known, tables }: { readonly known: Known; readonly tables: boolean }): void {
  const source = settings.source.kind === "duckdb" || existsSync(settings.source.path) ? sourceTraces(settings) : [];
  const lines = [
    `source  ${settings.source.path}`,
    ...source.map((sql) => `  ${sql}`),
    `log     ${describeLog(settings)}`,
    ...topicNames(settings, known).map((topic) => `  topic ${topic}`),
    `target  ${describeTarget(settings)}`,
    "  what schema tailrace holds about this pipeline",
    tables
      ? "  the tables that this pipeline created, WITH THEIR ROWS"
      : "  (its tables stay; --tables drops those that this pipeline created)",
  ];
  out.note(`this would go:\n${lines.map((line) => `  ${line}`).join("\n")}`);
}

async function attempt(place: Place["place"], where: string, work: () => Promise<readonly string[]>): Promise<Place> {
  try {
    return { place, where, items: await work(), error: null };
  } catch (thrown) {
    const error = asTailraceError(thrown);
    // A fault of ours must not look like a place that is merely gone.
    if (error.code === "internal") throw error;
    return { place, where, items: [], error };
  }
}

async function destroySource(settings: Settings): Promise<readonly string[]> {
  // What we know of a DuckDB file lies beside the settings, and goes although the file is gone.
  if (settings.source.kind === "sqlite" && !existsSync(settings.source.path)) return [];
  using open = openInstaller(settings);
  return await open.destroy();
}

async function destroyLog(settings: Settings, known: Known, signal: AbortSignal): Promise<readonly string[]> {
  const topics = topicNames(settings, known);
  if (settings.log.kind === "embedded") {
    const { path } = settings.log;
    if (!existsSync(path)) return [];
    await withLog(settings, "destroy", (store) => store.destroy(topics, signal));
    for (const end of ["", "-wal", "-shm"]) rmSync(`${path}${end}`, { force: true });
    return [path];
  }
  await withLog(settings, "destroy", (store) => store.destroy(topics, signal));
  return topics;
}

async function destroyTarget(settings: Settings, tables: boolean, signal: AbortSignal): Promise<readonly string[]> {
  // A server is not made in order to find it empty.
  if (settings.target.url === null && !existsSync(embeddedDirectory(settings))) return [];
  const removed = await withTarget(settings, signal, (target) => target.destroy({ tables }, signal));
  if (settings.target.url !== null || !tables) return removed;
  // Nothing but this pipeline ever lived in the embedded server.
  return (await removeEmbeddedPostgres(embeddedDirectory(settings)))
    ? [...removed, `the embedded server in ${embeddedDirectory(settings)}`]
    : removed;
}

function report({ out }: Invocation, settings: Settings, places: readonly Place[]): ExitCode {
  const failed = places.filter(({ error }) => error !== null);
  out.answer({
    kind: "Destroy",
    data: {
      pipeline: settings.pipeline,
      places: places.map(({ place, where, items, error }) => ({
        place,
        where,
        removed: items,
        error: error === null ? null : { code: error.code, message: error.message, remedy: error.remedy },
      })),
    },
    next: failed.length === 0 ? [] : ["tailrace destroy --yes"],
    text: (paint) =>
      places
        .flatMap(({ place, where, items, error }) => [
          error === null
            ? `${paint.green("clean")} ${place}  ${where}`
            : `${paint.red("left ")} ${place}  ${where}: ${describeError(error)}`,
          ...items.map((item) => `  ${paint.dim("-")} ${item}`),
        ])
        .join("\n"),
  });
  return failed.length === 0 ? exits.done : exits.halfWay;
}
