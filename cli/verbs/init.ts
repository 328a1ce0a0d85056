import { closeSync, existsSync, mkdirSync, openSync, readSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import type { SourceCatalog } from "../../core/contracts/source.js";
import { TailraceError } from "../../core/errors.js";
import type { Settings } from "../../core/settings.js";
import { isLegalPrefix } from "../../core/topics.js";
import { pipelineId } from "../../core/vocabulary/ids.js";
import { exits } from "../exit-codes.js";
import { usage, type Verb } from "../invocation.js";
import { plural } from "../output/format.js";
import { openInspector } from "../pipeline/source.js";
import { settingsTemplate } from "../settings/template.js";
import { publishedJsonSchema } from "../settings/json-schema.js";

export const verb: Verb = async (invocation) => {
  const { options, globals, out, signal } = invocation;
  const source = options.text("source");
  if (source === null) throw usage("init wants --source FILE, the SQLite or DuckDB database to look at");
  const file = resolve(globals.config);
  if (existsSync(file) && !options.flag("force")) {
    throw new TailraceError("usage.refused", { what: `${file} exists already; --force overwrites it`, where: { file } });
  }
  const target = options.text("target");
  const pipeline = pipelineName(source);
  const kind = kindOf(resolve(source));
  const catalog = await catalogOf(resolve(source), kind, dirname(file), signal);
  const path = relative(dirname(file), resolve(source));
  const schema = writeSchema(dirname(file));
  writeFileSync(
    file,
    settingsTemplate({
      pipeline,
      kind,
      source: path.startsWith("..") || path.startsWith("/") ? path : `./${path}`,
      target,
      tables: catalog.tables.map(({ description, rowsEstimated }) => ({ name: description.table, rows: rowsEstimated })),
      schema,
    }),
    // It may hold the target's password.
    { mode: 0o600 },
  );
  const leftOut = catalog.refused.map(({ table, code, reason }) => ({ table, code, reason }));
  out.answer({
    kind: "Init",
    data: { file, pipeline, source: resolve(source), tables: catalog.tables.map(({ description }) => description.table), leftOut },
    next: ["tailrace doctor", "tailrace plan"],
    text: (paint) =>
      [
        `${paint.green("wrote")} ${file}: pipeline ${pipeline}, ${plural(catalog.tables.length, "table")} to capture`,
        ...leftOut.map(({ table, reason, code }) => `  ${paint.yellow("left out")} ${table}: ${reason}  ${paint.dim(`[${code}]`)}`),
      ].join("\n"),
  });
  return exits.done;
};

type Kind = Settings["source"]["kind"];

/** By the file's first bytes; what is neither is called an SQLite file, whose connector says what is wrong with it. */
function kindOf(path: string): Kind {
  if (!existsSync(path)) return "sqlite";
  const fd = openSync(path, "r");
  try {
    const head = Buffer.alloc(12);
    readSync(fd, head, 0, 12, 0);
    return head.toString("latin1", 8, 12) === "DUCK" ? "duckdb" : "sqlite";
  } catch {
    return "sqlite";
  } finally {
    closeSync(fd);
  }
}

async function catalogOf(path: string, kind: Kind, directory: string, signal: AbortSignal): Promise<SourceCatalog> {
  const log = { retain: "applied", maxBytes: 0 } as const;
  const source = kind === "sqlite" ? { kind, path, log } : { kind, path, memoryMb: 512, pollMs: 100, copyMbPerSecond: null };
  const about = { source, pipeline: pipelineId("init"), stateDirectory: join(directory, ".tailrace"), tables: new Map() };
  await using inspector = await openInspector(about, signal);
  return await inspector.catalog();
}

function pipelineName(source: string): string {
  const name = basename(source)
    .replace(/\.[^.]*$/, "")
    .toLowerCase()
    .replaceAll(/[^a-z0-9_-]+/g, "-")
    .replace(/^[^a-z]+/, "")
    .slice(0, 40);
  return isLegalPrefix(name) ? name : "pipeline";
}

/** Beside the state, so that an editor finds it without a network. Returns its path as the settings file says it. */
function writeSchema(directory: string): string {
  const state = join(directory, ".tailrace");
  mkdirSync(state, { recursive: true, mode: 0o700 });
  writeFileSync(join(state, "tailrace.schema.json"), publishedJsonSchema());
  return "./.tailrace/tailrace.schema.json";
}
