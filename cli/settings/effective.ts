/** Every value in force and where it came from, for `config show`. Secrets leave as `***` and URLs without user and password. */
import { printable } from "../../core/errors.js";
import { isSecretAt, type JsonSchema, settingsJsonSchema } from "./json-schema.js";
import type { LoadedSettings } from "./load-settings.js";
import { usesExpansion } from "./expand.js";
import { formatPath } from "./faults.js";
import type { Path } from "./read-yaml.js";

export interface EffectiveSetting {
  readonly setting: string;
  readonly value: unknown;
  /** `line 4`, `line 4, ${VAR}` or `default`. */
  readonly from: string;
}

export function effectiveSettings(loaded: LoadedSettings): readonly EffectiveSetting[] {
  const schema = settingsJsonSchema();
  const rows: EffectiveSetting[] = [];
  walk(loaded.declared, [], (path, value) => {
    rows.push({ setting: formatPath(path), value: shown(value, path, schema), from: originOf(loaded, path) });
  });
  return rows;
}

function walk(value: unknown, path: Path, visit: (path: Path, value: unknown) => void): void {
  const isBranch = typeof value === "object" && value !== null && !Array.isArray(value);
  const entries = isBranch ? Object.entries(value).filter(([, child]) => child !== undefined) : [];
  if (entries.length === 0) visit(path, value);
  else for (const [key, child] of entries) walk(child, [...path, key], visit);
}

function shown(value: unknown, path: Path, schema: JsonSchema): unknown {
  if (!isSecretAt(schema, path)) return typeof value === "string" ? printable(value) : value;
  return typeof value === "string" && /^postgres(ql)?:\/\//.test(value) ? describeUrl(value) : "***";
}

/** Host, port and database of a connection URL; nothing of it that could be a secret. */
export function describeUrl(text: string): string {
  if (!URL.canParse(text)) return "***";
  const url = new URL(text);
  return `${url.protocol}//***@${url.host}${url.pathname}`;
}

function originOf(loaded: LoadedSettings, path: Path): string {
  let given: unknown = loaded.yaml.data;
  for (const part of path) {
    if (typeof given !== "object" || given === null || !Object.hasOwn(given, part)) return "default";
    given = (given as Record<string, unknown>)[part];
  }
  const line = `line ${loaded.yaml.lineOf(path) ?? "?"}`;
  const variables = typeof given === "string" && usesExpansion(given) ? (given.match(/(?<!\$)\$\{[^}]*\}/g) ?? []) : [];
  return [line, ...variables].join(", ");
}
