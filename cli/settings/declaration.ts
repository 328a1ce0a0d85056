/**
 * Every setting, once: type, default, range and the sentence that explains it. The parser, `tailrace.schema.json` and
 * docs/configuration.md are all made from this file, so that they can never disagree.
 */
import { z } from "zod";
import { isLegalPrefix } from "../../core/topics.js";
import { isLoopback, splitAddress } from "./address.js";
import { parseBytes } from "./byte-size.js";

/** What `meta` may say besides zod's own fields. `secret` values are masked by `config show`; `file` ones are relative to the settings file. */
export interface SettingMeta {
  readonly description: string;
  readonly secret?: true;
  readonly example?: string;
}
const say = (description: string, more: Omit<SettingMeta, "description"> = {}): SettingMeta & Record<string, unknown> => ({
  description,
  ...more,
});

const text = (): z.ZodString =>
  z
    .string("must be text")
    .min(1, "must not be empty")
    .refine((given) => !given.includes("\0"), "must not hold a NUL character");
const choice = <const T extends readonly [string, ...string[]]>(values: T) =>
  z.enum(values, { error: () => `must be ${values.length === 1 ? `'${values[0]}'` : `one of ${values.join(", ")}`}` });
const later = (only: string, what: string) =>
  z.literal(only, { error: () => `only '${only}' for now; ${what} comes with a later version` });

function listenFault(listen: string): string | null {
  const address = splitAddress(listen);
  if (address === null) return "must be host:port";
  if (!isLoopback(address.host)) return "must be a loopback address (127.0.0.1, ::1, localhost): others come with `http.token`";
  return address.port > 65_532 ? "needs a port from 0 to 65532 (the three above it are taken as well)" : null;
}

const tls = z
  .union([
    choice(["verify-full", "insecure", "off"]),
    z.strictObject({
      ca: text().optional().meta(say("Certificate authority: path of a PEM file, or the PEM text. Default: those that Node trusts.")),
      cert: text().optional().meta(say("Client certificate: path of a PEM file, or the PEM text.")),
      key: text()
        .optional()
        .meta(say("Key of the client certificate: path of a PEM file, or the PEM text.", { secret: true })),
      verify: choice(["verify-full", "insecure"]).default("verify-full").meta(say("`insecure` takes any certificate: for trials only.")),
    }),
  ])
  .default("off");

const kafkaLog = z.strictObject({
  kind: z
    .literal("kafka")
    .meta(
      say("`kafka`: any broker that speaks Kafka's protocol (Kafka 3.5 or newer). `embedded`: one SQLite file beside the settings file."),
    ),
  brokers: z
    .array(text().regex(/^[^\s:]+:\d{1,5}$|^\[[0-9A-Fa-f:]+\]:\d{1,5}$/, "must be host:port"), "must be a list of host:port")
    .min(1, "needs at least one host:port")
    .meta(say("Bootstrap brokers, `host:port` each.", { example: "[127.0.0.1:9092]" })),
  tls: tls.meta(say("Encryption to the brokers: `off`, `verify-full`, `insecure`, or a block with `ca`, `cert`, `key`, `verify`.")),
  sasl: z
    .strictObject({
      mechanism: choice(["plain", "scram-sha-256", "scram-sha-512"]).meta(say("How to log in to the brokers.")),
      username: text().meta(say("User at the brokers.")),
      password: text().meta(say("Password at the brokers; best given as `${VAR}` or `${file:/path}`.", { secret: true })),
      allowPlaintext: z
        .boolean("must be true or false")
        .default(false)
        .meta(say("Send a `plain` password over a connection that is not encrypted, to hosts other than this one.")),
    })
    .optional()
    .meta(say("Login to the brokers. Default: none.")),
  partitions: z
    .literal(1, { error: () => "only 1 for now; several partitions come with a later version" })
    .default(1)
    .meta(say("Partitions of each table's topic.")),
  replicationFactor: z
    .int("must be a whole number")
    .min(-1, "must be -1 (the broker's default) or at least 1")
    .max(32_767)
    .refine((n) => n !== 0, "must be -1 (the broker's default) or at least 1")
    .default(-1)
    .meta(say("Copies of each topic that `apply` creates. -1: the broker's default.")),
  compression: later("none", "compression").default("none").meta(say("Compression of what is sent.")),
  registry: z
    .union([
      text(),
      z.strictObject({
        url: text().meta(say("Address of the registry.")),
        auth: z
          .union([
            z.strictObject({
              username: text().meta(say("User at the registry.")),
              password: text().meta(say("Password at the registry.", { secret: true })),
            }),
            z.strictObject({ token: text().meta(say("Bearer token for the registry, instead of user and password.", { secret: true })) }),
          ])
          .optional()
          .meta(say("Login to the registry: `username` and `password`, or `token`.")),
        ca: text().optional().meta(say("Certificate authority of the registry: path of a PEM file, or the PEM text.")),
      }),
    ])
    .optional()
    .meta(
      say(
        "Schema registry with the Confluent API: its address, or a block with `url`, `auth`, `ca`. Default: schemas are kept in the topic `<pipeline>.schemas`.",
        {
          example: "http://127.0.0.1:8081",
        },
      ),
    ),
});

const embeddedLog = z.strictObject({
  kind: z.literal("embedded"),
});

const captureLog = z.strictObject({
  retain: choice(["applied", "acknowledged"])
    .default("applied")
    .meta(
      say(
        "What the capture log keeps. `applied`: all that the target has not committed, so that a log that lost records can be filled again. `acknowledged`: the same up to `maxBytes`; beyond that, what the log has stored is forgotten, oldest first.",
      ),
    ),
  maxBytes: z
    .union([z.int("must be a size such as 512MiB or 2GB").nonnegative("must not be negative"), text()])
    .superRefine((given, context) => {
      if (parseBytes(given) === null) context.addIssue({ code: "custom", message: "must be a size such as 512MiB or 2GB" });
    })
    .default("1GiB")
    .meta(
      say("From this size on the capture log is too large: `status`, `doctor`, the log and the metrics say so.", { example: "512MiB" }),
    ),
});

const column = z
  .strictObject({
    to: text().optional().meta(say("Name at the target. Default: the same.")),
    type: text()
      .optional()
      .meta(
        say("PostgreSQL type at the target. Default: from the declared type and the values that are there.", { example: "timestamptz" }),
      ),
    from: choice(["epoch-s", "epoch-ms", "epoch-us", "iso", "julian-day"])
      .optional()
      .meta(say("How the source writes times in this column.")),
    drop: z
      .literal(true, { error: () => "must be true (or leave it out)" })
      .optional()
      .meta(say("Leave the column out.")),
    constant: z
      .unknown()
      .optional()
      .meta(
        say(
          "The target column holds this value (any YAML value, or `run-start`), written on insert only. The column's name is the target's.",
        ),
      ),
  })
  .superRefine((said, context) => {
    const given = Object.keys(said);
    if (said.drop === true && given.length > 1) {
      context.addIssue({ code: "custom", message: "says `drop` and something else; a dropped column has nothing else" });
    } else if (Object.hasOwn(said, "constant") && given.some((key) => key !== "constant" && key !== "type")) {
      context.addIssue({ code: "custom", message: "is a constant; besides it, only `type` can be said" });
    }
  });

const table = z.strictObject({
  to: text()
    .regex(/^[^.]+(\.[^.]+)?$/u, "must be name or schema.name")
    .optional()
    .meta(say("Table at the target, `name` or `schema.name`. Default: the same name in `target.schema`.", { example: "sales.orders" })),
  key: z
    .array(text())
    .min(1)
    .optional()
    .meta(
      say("DuckDB only: columns that tell the rows apart, for a table that declares no key. They are looked at before they are believed."),
    ),
  columns: z.record(z.string(), column.nullable()).optional().meta(say("Columns that are not simply carried over, by source name.")),
});

export const declaration = z.strictObject({
  pipeline: text()
    .refine(isLegalPrefix, "must begin with a-z and hold only a-z, 0-9, _ and - (at most 63 characters)")
    .meta(say("Name of the pipeline; also the prefix of its topics. Never change it once `apply` has run.", { example: "shop" })),
  source: z
    .strictObject(
      {
        kind: z.enum(["sqlite", "duckdb"], "must be sqlite or duckdb").meta(say("What the source is.")),
        path: text().meta(say("The database file, relative to this file.", { example: "./shop.db" })),
        log: captureLog.prefault({}).meta(say("The capture log that lies in the source until its rows may be forgotten.")),
        memoryMb: z
          .int()
          .min(128)
          .max(1_000_000)
          .optional()
          .meta(say("DuckDB only: memory for comparing copies of the file, in MB; the process takes up to 600 MB more. Default: 512.")),
        pollMs: z.int().min(10).max(3_600_000).optional().meta(say("DuckDB only: time between two looks at the file. Default: 100.")),
        copyMbPerSecond: z
          .number()
          .positive()
          .optional()
          .meta(say("DuckDB only: how fast the file may be copied, where the file system cannot share blocks. Default: no limit.")),
      },
      "must be a block with kind and path",
    )
    .meta(say("Where changes come from.")),
  log: z
    .discriminatedUnion("kind", [kafkaLog, embeddedLog], { error: () => "must be a block whose `kind` is kafka or embedded" })
    .default({ kind: "embedded" })
    .meta(say("Where changes wait between source and target. Default: the embedded log, in `.tailrace/` beside this file.")),
  target: z
    .strictObject({
      url: text()
        .regex(/^postgres(ql)?:\/\//, "must begin with postgres:// or postgresql://")
        .optional()
        .meta(
          say("PostgreSQL to write to. Default: an embedded PostgreSQL under `.tailrace/`, for trials and tests.", {
            secret: true,
            example: "${TAILRACE_TARGET_URL}",
          }),
        ),
      schema: text().default("public").meta(say("Schema for tables that have no `to`.")),
    })
    .prefault({})
    .meta(say("Where changes go to.")),
  tables: z
    .record(z.string(), table.nullable())
    .optional()
    .meta(
      say(
        "Tables to capture, by source name; ONLY those listed are captured. Without this block: every ordinary table, same names. `orders: {}` lists a table and changes nothing about it.",
      ),
    ),
  groups: z
    .record(z.string(), z.array(text(), "must be a list of table names").min(1, "needs at least one table"))
    .optional()
    .meta(
      say(
        "Tables that are switched over together, by the group's name; those that no group names form the group `main`. No foreign key may lead from one group into another. Each group has its own position, pause, route and cutover; a group that is new may take its tables out of one that is there.",
        { example: "{ billing: [invoices, invoice_lines] }" },
      ),
    ),
  errors: z
    .strictObject({
      tolerance: later("none", "quarantine").default("none").meta(say("`none`: stop at the first record that cannot be applied.")),
    })
    .prefault({})
    .meta(say("What happens to a record that cannot be applied.")),
  snapshot: z
    .strictObject({
      format: later("chunks", "the records format")
        .default("chunks")
        .meta(say("`chunks`: rows of the first copy travel in the topic `<pipeline>.snapshot`.")),
    })
    .prefault({})
    .meta(say("How existing rows are copied.")),
  verify: z
    .strictObject({
      rowsPerSecond: z
        .int("must be a whole number")
        .min(0, "must be 0 (do not verify in the background) or more")
        .max(10_000_000)
        .default(5_000)
        .meta(
          say("How many rows a second `run` compares in the background, on each side. 0: none; `verify run` still compares on demand."),
        ),
    })
    .prefault({})
    .meta(say("Comparing both sides while everything goes on.")),
  http: z
    .strictObject({
      listen: text()
        .superRefine((listen, context) => {
          const fault = listenFault(listen);
          if (fault !== null) context.addIssue({ code: "custom", message: fault });
        })
        .default("127.0.0.1:8731")
        .meta(
          say(
            "Address of /health, /ready, /status and /metrics: all services here, the source one port above, the sink two, verification three. Loopback only, until tokens exist.",
          ),
        ),
    })
    .prefault({})
    .meta(say("The services' own HTTP endpoint.")),
  routes: z
    .strictObject({
      hooks: z
        .array(
          z.union([
            z.strictObject({ command: z.array(text()).min(1, "must name a program") }),
            z.strictObject({ url: text().regex(/^https?:\/\//, "must be an http:// or https:// address") }),
          ]),
        )
        .default([])
        .meta(
          say(
            "What is told when the route changes, in this order: `command: [program, word, ...]` (TAILRACE_ROUTE and TAILRACE_ROUTE_VERSION in its environment) or `url: address` (POST, JSON). For applications that switch by configuration.",
          ),
        ),
    })
    .prefault({})
    .meta(say("How applications learn where to write; those that follow tailrace.route need nothing here.")),
});

export type Declared = z.output<typeof declaration>;
