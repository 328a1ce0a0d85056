/** The settings file that `init` writes: short, complete, and with the next things to say as comments. */
import { stringify } from "yaml";

export interface TemplateFacts {
  readonly pipeline: string;
  readonly kind: "sqlite" | "duckdb";
  /** Relative to the settings file. */
  readonly source: string;
  readonly target: string | null;
  readonly tables: readonly { readonly name: string; readonly rows: number }[];
  readonly schema: string;
}

const tablesMost = 50;

export function settingsTemplate(facts: TemplateFacts): string {
  const { pipeline, kind, source, target, tables, schema } = facts;
  const listed = tables.slice(0, tablesMost).map(({ name, rows }) => `#   ${scalar(name)}: {}`.padEnd(40) + ` # about ${rows} rows`);
  const rest = tables.length > tablesMost ? [`#   ... and ${tables.length - tablesMost} more`] : [];
  return [
    `# yaml-language-server: $schema=${schema}`,
    "# Settings of one pipeline. `tailrace doctor` checks them, `tailrace plan` says what they mean, `tailrace apply` and `tailrace run` do it.",
    "# ${VAR} and ${file:/path} expand in any value; relative paths start at this file.",
    "",
    `pipeline: ${scalar(pipeline)}                # also the prefix of the topics; never change it once applied`,
    "",
    "source:",
    `  kind: ${kind}`,
    `  path: ${scalar(source)}`,
    ...(kind === "duckdb" ? ["  # memoryMb: 512                    # for comparing copies; the process takes up to 600 MB more"] : []),
    "",
    "# Without this block: the embedded log, one SQLite file in .tailrace/, enough for one machine.",
    "# log:",
    "#   kind: kafka",
    "#   brokers: [127.0.0.1:9092]",
    "#   registry: http://127.0.0.1:8081",
    "#   tls: verify-full",
    '#   sasl: { mechanism: scram-sha-512, username: tailrace, password: "${KAFKA_PASSWORD}" }',
    "",
    ...targetLines(target),
    "",
    "# Without this block: every ordinary table, same names. With it: only the tables listed.",
    "# tables:",
    ...listed,
    ...rest,
    "# What can be said of a table:",
    "#   orders:",
    "#     to: sales.orders",
    "#     columns:",
    "#       placed: { to: placed_at, type: timestamptz, from: epoch-ms }",
    "#       legacy: { drop: true }",
    '#       origin: { constant: "from the shop" }',
    "",
    "# http: { listen: 127.0.0.1:8731 }    # /health /ready /status /metrics; source one port above, sink two",
    "",
  ].join("\n");
}

function targetLines(target: string | null): readonly string[] {
  if (target !== null) return ["target:", `  url: ${scalar(target.replaceAll("${", "$${"))}`, "  schema: public"];
  return [
    "# Without this block: an embedded PostgreSQL in .tailrace/, for trials.",
    "# target:",
    "#   url: ${TAILRACE_TARGET_URL}         # postgresql://user:password@host:5432/database",
    "#   schema: public",
  ];
}

/** A name may be anything; YAML decides how it must be quoted. */
const scalar = (text: string): string =>
  stringify(text, { lineWidth: 0, defaultStringType: "PLAIN", singleQuote: false })
    .trimEnd()
    .replace(/^[|>][\s\S]*$/, JSON.stringify(text));
