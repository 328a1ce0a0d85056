/** Declared values become `Settings`: defaults resolved, paths absolute, secrets wrapped, and every rule that spans several settings. */
import { readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import type {
  ColumnSettings,
  KafkaSettings,
  LogSettings,
  RegistrySettings,
  Settings,
  SourceSettings,
  TableSettings,
  TlsSettings,
} from "../../core/settings.js";
import { Secret } from "../../core/secret.js";
import { mainGroup } from "../../core/plan/groups.js";
import { pipelineId } from "../../core/vocabulary/ids.js";
import type { Declared } from "./declaration.js";
import { isLoopback, splitAddress } from "./address.js";
import { parseBytes } from "./byte-size.js";
import type { Path } from "./read-yaml.js";

export interface BuildContext {
  readonly directory: string;
  readonly report: (path: Path, what: string) => void;
}

export function buildSettings(declared: Declared, context: BuildContext): Settings {
  const stateDirectory = join(context.directory, ".tailrace");
  return {
    pipeline: pipelineId(declared.pipeline),
    prefix: declared.pipeline,
    stateDirectory,
    source: sourceSettings(declared, context),
    log: logSettings(declared.log, stateDirectory, context),
    target: targetSettings(declared.target, context),
    tables: tableSettings(declared.tables ?? {}),
    onlyListedTables: declared.tables !== undefined,
    groups: groupSettings(declared, context),
    verify: declared.verify,
    http: splitAddress(declared.http.listen) ?? { host: "127.0.0.1", port: 0 },
    routes: { hooks: declared.routes.hooks.map(hookSettings) },
  };
}

const hookSettings = (hook: Declared["routes"]["hooks"][number]): Settings["routes"]["hooks"][number] =>
  "command" in hook ? { kind: "command", command: hook.command } : { kind: "http", url: hook.url };

function sourceSettings({ source, tables }: Declared, { directory, report }: BuildContext): SourceSettings {
  const path = resolve(directory, source.path);
  if (source.kind === "duckdb") {
    const { memoryMb = 512, pollMs = 100, copyMbPerSecond = null } = source;
    return { kind: "duckdb", path, memoryMb, pollMs, copyMbPerSecond };
  }
  for (const key of ["memoryMb", "pollMs", "copyMbPerSecond"] as const) {
    if (source[key] !== undefined) report(["source", key], "is for sources of kind duckdb");
  }
  for (const [name, table] of Object.entries(tables ?? {})) {
    if (table?.key !== undefined) report(["tables", name, "key"], "is reserved: it comes with chosen keys for SQLite; leave it out");
  }
  return { kind: "sqlite", path, log: { retain: source.log.retain, maxBytes: parseBytes(source.log.maxBytes) ?? 0 } };
}

function targetSettings(declared: Declared["target"], { report }: BuildContext): Settings["target"] {
  if (declared.url !== undefined && !URL.canParse(declared.url)) {
    report(["target", "url"], "is not an address (characters such as @ : / in a password must be percent-encoded)");
  }
  return { url: declared.url === undefined ? null : new Secret(declared.url), schema: declared.schema };
}

function logSettings(declared: Declared["log"], stateDirectory: string, context: BuildContext): LogSettings {
  if (declared.kind === "embedded") return { kind: "embedded", path: join(stateDirectory, "log.db") };
  const tls = tlsSettings(declared.tls, ["log", "tls"], context);
  return {
    kind: "kafka",
    brokers: declared.brokers,
    tls,
    sasl: saslSettings(declared, tls, context),
    replicationFactor: declared.replicationFactor,
    registry: registrySettings(declared.registry, context),
  };
}

type DeclaredKafka = Extract<Declared["log"], { readonly kind: "kafka" }>;

function saslSettings(declared: DeclaredKafka, tls: TlsSettings, { report }: BuildContext): KafkaSettings["sasl"] {
  if (declared.sasl === undefined) return null;
  const { mechanism, username, password, allowPlaintext } = declared.sasl;
  const local = declared.brokers.every((broker) => isLoopback(splitAddress(broker)?.host ?? ""));
  if (mechanism === "plain" && tls === null && !local && !allowPlaintext) {
    report(["log", "sasl", "mechanism"], "would send the password in clear: set `log.tls`, or `log.sasl.allowPlaintext: true`");
  }
  return { mechanism, username, password: new Secret(password) };
}

function registrySettings(declared: DeclaredKafka["registry"], context: BuildContext): RegistrySettings | null {
  if (declared === undefined) return null;
  const { url, auth, ca } = typeof declared === "string" ? { url: declared, auth: undefined, ca: undefined } : declared;
  const path = typeof declared === "string" ? ["log", "registry"] : ["log", "registry", "url"];
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (parsed === null || !/^https?:$/.test(parsed.protocol)) context.report(path, "must be an http:// or https:// address");
  else if (parsed.username !== "" || parsed.password !== "") context.report(path, "must not hold a password; use `log.registry.auth`");
  else if (parsed.protocol === "http:" && auth !== undefined && !isLoopback(parsed.hostname)) {
    context.report(path, "would send the login in clear: use https://");
  }
  return { url, auth: registryAuth(auth), ca: ca === undefined ? null : pem(ca, ["log", "registry", "ca"], context) };
}

type DeclaredAuth = Exclude<Exclude<DeclaredKafka["registry"], string | undefined>["auth"], undefined>;

function registryAuth(declared: DeclaredAuth | undefined): RegistrySettings["auth"] {
  if (declared === undefined) return null;
  if ("token" in declared) return { token: new Secret(declared.token) };
  return { username: declared.username, password: new Secret(declared.password) };
}

function tlsSettings(declared: DeclaredKafka["tls"], path: Path, context: BuildContext): TlsSettings {
  if (declared === "off") return null;
  if (typeof declared === "string") return { ca: null, cert: null, key: null, verify: declared === "verify-full" };
  if ((declared.cert === undefined) !== (declared.key === undefined)) {
    context.report(path, "needs `cert` and `key` together");
  }
  return {
    ca: declared.ca === undefined ? null : pem(declared.ca, [...path, "ca"], context),
    cert: declared.cert === undefined ? null : pem(declared.cert, [...path, "cert"], context),
    key: declared.key === undefined ? null : new Secret(pem(declared.key, [...path, "key"], context)),
    verify: declared.verify === "verify-full",
  };
}

const pemBytesMax = 1 << 20;

function pem(given: string, path: Path, { directory, report }: BuildContext): string {
  if (given.includes("-----BEGIN")) return given;
  const file = resolve(directory, given);
  try {
    const stat = statSync(file);
    if (!stat.isFile()) throw Object.assign(new Error(), { code: "not an ordinary file" });
    if (stat.size > pemBytesMax) throw Object.assign(new Error(), { code: "larger than 1 MiB" });
    const text = readFileSync(file, "utf8");
    if (!text.includes("-----BEGIN")) report(path, `names ${file}, which is not a PEM file`);
    return text;
  } catch (cause) {
    // The given text is not repeated: a mangled private key must not end up in a terminal.
    report(path, `names a file that cannot be read (${String((cause as { code?: unknown }).code)})`);
    return "";
  }
}

/** Each table is in one group: its position, its fence and its route are the group's. */
function groupSettings({ groups = {}, tables }: Declared, { report }: BuildContext): Settings["groups"] {
  const owners = new Map<string, string>();
  for (const [group, members] of Object.entries(groups)) {
    if (!isGroupName(group)) report(["groups", group], "must begin with a-z and hold only a-z, 0-9, _ and - (at most 40 characters)");
    if (group === mainGroup) report(["groups", group], "is the group of all tables that no group names; it is not declared");
    members.forEach((table, i) => {
      const owner = owners.get(table);
      if (owner !== undefined) report(["groups", group, i], `is in group '${owner}' already`);
      else if (tables !== undefined && !Object.hasOwn(tables, table)) report(["groups", group, i], "is not listed in `tables`");
      owners.set(table, owner ?? group);
    });
  }
  return new Map(Object.entries(groups));
}

const isGroupName = (text: string): boolean => /^[a-z][a-z0-9_-]{0,39}$/.test(text);

function tableSettings(declared: NonNullable<Declared["tables"]>): ReadonlyMap<string, TableSettings> {
  return new Map(
    Object.entries(declared).map(([name, table]) => [
      name,
      {
        to: table?.to ?? null,
        key: table?.key ?? null,
        columns: new Map(Object.entries(table?.columns ?? {}).map(([column, said]) => [column, columnSettings(said ?? {})])),
      },
    ]),
  );
}

type DeclaredColumn = NonNullable<NonNullable<NonNullable<NonNullable<Declared["tables"]>[string]>["columns"]>[string]>;

function columnSettings(said: DeclaredColumn): ColumnSettings {
  if (said.drop === true) return { kind: "drop" };
  if (Object.hasOwn(said, "constant")) return { kind: "constant", value: constantText(said.constant), type: said.type ?? null };
  return { kind: "map", to: said.to ?? null, type: said.type ?? null, from: said.from ?? null };
}

function constantText(value: unknown): string | null | { readonly runStart: true } {
  if (value === null || value === undefined) return null;
  if (value === "run-start") return { runStart: true };
  return typeof value === "object" ? JSON.stringify(value) : String(value as string | number | boolean | bigint);
}
