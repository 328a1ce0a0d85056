/** docs/configuration.md, made from the declaration. */
import { type JsonSchema, settingsJsonSchema } from "./json-schema.js";
import { reservedKeys } from "./reserved.js";

interface SettingRow {
  readonly path: string;
  readonly type: string;
  readonly fallback: string;
  readonly sentence: string;
}

export function configurationPage(): string {
  const rows: SettingRow[] = [];
  collect(settingsJsonSchema(), "", rows);
  return [
    "# Settings",
    "",
    "<!-- Made by `node dist/cli/generated-files.js` from cli/settings/declaration.ts. Do not edit. -->",
    "",
    "One file, `tailrace.yaml`, describes one pipeline. `tailrace init --source FILE` writes a commented one; `-c FILE` names another.",
    "",
    "```yaml",
    ...example,
    "```",
    "",
    "## How it is read",
    "",
    "- Relative paths start at the settings file, not at the working directory. State (embedded log, embedded PostgreSQL, lock files) lies in `.tailrace/` beside it.",
    "- `${VAR}` and `${file:/path}` expand in any string value, after the YAML has been read; the value is never read as YAML again. A variable or file that is missing or",
    "  empty is refused. `$${` stands for the two characters `${`. A trailing newline of a file is not part of its value.",
    "- Unknown keys are refused with the nearest known one. All faults are listed at once, each with path and line (exit 2).",
    "- Secrets (marked *secret*) are never printed: not by `config show`, not in logs, not in errors.",
    "- Editors: the first line `# yaml-language-server: $schema=...` that `init` writes gives completion and checks. `tailrace config schema` prints the schema.",
    "- `tailrace config validate` checks a file and `tailrace config show` prints every effective value and where it came from.",
    "",
    "## All settings",
    "",
    "| setting | type | default | meaning |",
    "|---|---|---|---|",
    ...rows.map((row) => `| \`${row.path}\` | ${row.type} | ${row.fallback} | ${row.sentence} |`),
    "",
    "## Constants",
    "",
    "`tables.<table>.columns.<column>.constant` adds a column that the source does not have. It takes any YAML value, or `run-start` (the time at which the plan was first",
    "applied). It is written when a row is first inserted, never on update, and is no part of row hashes. `type` beside it names the column's type.",
    "",
    "## What the capture log keeps",
    "",
    "Changes are logged in the source file, in the application's own transactions, and wait there until they may be forgotten. While the target is away the log grows.",
    "",
    "- `retain: applied` (the default) keeps all that the target has not committed. A Kafka or embedded log that lost records is filled again from it, and nothing is read twice.",
    "  Larger than `maxBytes`, it only raises the alarm: nothing that the target lacks is ever forgotten.",
    "- `retain: acknowledged` keeps the same up to `maxBytes`. What is beyond that and acknowledged by the log is forgotten, oldest first, until the rest fits; `maxBytes: 0` keeps",
    "  nothing that the log has. What the log has not acknowledged is never forgotten. The price: a log that then loses records cannot be filled again. The source notices",
    "  at its next session that the rows are gone and reads every table again under a new history; nothing is lost, but it takes as long as the first copy.",
    "- Under both, the row at the position itself stays as anchor, and no hold is overridden.",
    "- Sizes are estimated from a sample of rows. SQLite re-uses the space of forgotten rows; the file does not shrink.",
    "- The alarm rings when the log is larger than `maxBytes`, when its oldest row is older than 6 hours, or when the disk has less room left than the log takes (or than",
    "  64 MiB): `status` says so under `needs a person`, `doctor` warns (`source.capture-log`), the source writes `source.capture-log-large` at level warn, at most once an",
    "  hour, and `tailrace_capture_log_bytes` and `tailrace_capture_log_age_seconds` show it all the time.",
    "",
    "## Reserved",
    "",
    "These names are fixed and refused until their capability exists:",
    "",
    "| setting | |",
    "|---|---|",
    ...reservedKeys.map(({ path, comes }) => `| \`${path.map((part) => (part === "*" ? "<table>" : part)).join(".")}\` | ${comes} |`),
    "",
  ].join("\n");
}

const example = [
  "pipeline: shop",
  "source:",
  "  kind: sqlite",
  "  path: ./shop.db",
  "log:",
  "  kind: kafka",
  "  brokers: [127.0.0.1:9092]",
  "  registry: http://127.0.0.1:8081",
  "target:",
  "  url: ${TAILRACE_TARGET_URL}",
  "  schema: public",
  "tables:",
  "  customers: {}",
  "  orders:",
  "    to: sales.orders",
  "    columns:",
  "      placed: { to: placed_at, type: timestamptz, from: epoch-ms }",
  "      legacy: { drop: true }",
  '      origin: { constant: "expenses-v1" }',
];

function collect(schema: JsonSchema, path: string, rows: SettingRow[]): void {
  for (const branch of branches(schema)) {
    for (const [name, property] of Object.entries(branch.properties ?? {})) {
      const at = path === "" ? name : `${path}.${name}`;
      if (rows.some((row) => row.path === at)) continue;
      rows.push({
        path: at,
        type: typeText(property),
        fallback: fallbackText(property, branch.required?.includes(name) === true),
        sentence: sentence(property),
      });
      collect(property, at, rows);
      for (const inner of branches(property)) {
        if (typeof inner.additionalProperties === "object") collect(inner.additionalProperties, `${at}.<${name.replace(/s$/, "")}>`, rows);
      }
    }
  }
}

const branches = (schema: JsonSchema): readonly JsonSchema[] => {
  const inner = schema.anyOf ?? schema.oneOf;
  return inner === undefined ? [schema] : inner.flatMap(branches);
};

function typeText(schema: JsonSchema): string {
  const kinds = branches(schema).flatMap((branch): readonly string[] => {
    if (branch.enum !== undefined) return branch.enum.map((value) => `\`${literal(value)}\``);
    if (branch.const !== undefined) return [`\`${literal(branch.const)}\``];
    if (branch.type === "object") return typeof branch.additionalProperties === "object" ? ["map"] : ["block"];
    if (branch.type === "array") return ["list"];
    return [
      branch.type === undefined
        ? "any"
        : ({ string: "text", integer: "whole number", boolean: "true / false" }[branch.type] ?? branch.type),
    ];
  });
  const text = [...new Set(kinds)].join(" or ");
  return schema["secret"] === true ? `${text}, *secret*` : text;
}

function fallbackText(schema: JsonSchema, required: boolean): string {
  if (required) return "*required*";
  if (schema.default === undefined || typeof schema.default === "object") return "";
  return `\`${literal(schema.default)}\``;
}

const literal = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value));

const sentence = (schema: JsonSchema): string => (schema.description ?? "").replaceAll("|", "\\|").replaceAll("\n", " ");
