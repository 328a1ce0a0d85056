import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { openSqliteInspector } from "../../connectors/sqlite/inspect/inspector.js";
import type { SourceCatalog } from "../../core/contracts/source.js";
import { TailraceError } from "../../core/errors.js";
import { isLegalPrefix } from "../../core/topics.js";
import { theGroup } from "../../core/vocabulary/ids.js";
import { exits } from "../exit-codes.js";
import { usage, type Verb } from "../invocation.js";
import { plural } from "../output/format.js";
import { settingsTemplate } from "../settings/template.js";
import { publishedJsonSchema } from "../settings/json-schema.js";

export const verb: Verb = (invocation) => {
  const { options, globals, out } = invocation;
  const source = options.text("source");
  if (source === null) throw usage("init wants --source FILE, the SQLite database to look at");
  const file = resolve(globals.config);
  if (existsSync(file) && !options.flag("force")) {
    throw new TailraceError("usage.refused", { what: `${file} exists already; --force overwrites it`, where: { file } });
  }
  const catalog = catalogOf(resolve(source));
  const target = options.text("target");
  const pipeline = pipelineName(source);
  const path = relative(dirname(file), resolve(source));
  const schema = writeSchema(dirname(file));
  writeFileSync(
    file,
    settingsTemplate({
      pipeline,
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
  return Promise.resolve(exits.done);
};

function catalogOf(path: string): SourceCatalog {
  using inspector = openSqliteInspector(path, { group: theGroup });
  return inspector.catalog();
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
