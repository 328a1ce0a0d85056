/**
 * From a file to `Settings`. Promises: either complete and checked settings, or `SettingsRefused` with every fault that can be seen at
 * once, each with path and line. No secret is part of any fault.
 */
import { dirname, resolve } from "node:path";
import type { z } from "zod";
import type { Settings } from "../../core/settings.js";
import { buildSettings } from "./build-settings.js";
import { type Declared, declaration } from "./declaration.js";
import { expand } from "./expand.js";
import { type Fault, formatPath, SettingsRefused } from "./faults.js";
import { type JsonSchema, knownKeysAt, settingsJsonSchema } from "./json-schema.js";
import { nearest } from "./nearest.js";
import { type Path, readYaml, type YamlFile } from "./read-yaml.js";
import { reservedKeys } from "./reserved.js";

export const defaultFile = "tailrace.yaml";

export interface LoadedSettings {
  readonly file: string;
  readonly settings: Settings;
  /** As declared, with defaults filled in; holds secrets in clear, so it must not be printed. */
  readonly declared: Declared;
  readonly yaml: YamlFile;
}

export function loadSettings(name: string, environment: Readonly<Record<string, string | undefined>>): LoadedSettings {
  const file = resolve(name);
  return checkSettings(readYaml(file), environment);
}

export function checkSettings(yaml: YamlFile, environment: Readonly<Record<string, string | undefined>>): LoadedSettings {
  const faults = new FaultList(yaml);
  const data = takeReservedOut(yaml.data, faults);
  const expanded = expand(data, [], {
    environment,
    directory: dirname(yaml.file),
    report: (path, what) => faults.add(path, what),
  });
  const parsed = declaration.safeParse(expanded);
  if (!parsed.success) {
    const schema = settingsJsonSchema();
    for (const issue of parsed.error.issues) addIssue(issue, [], { data: expanded, schema, faults });
    throw faults.refusal();
  }
  const settings = buildSettings(parsed.data, { directory: dirname(yaml.file), report: (path, what) => faults.add(path, what) });
  if (faults.any || settings === null) throw faults.refusal();
  return { file: yaml.file, settings, declared: parsed.data, yaml };
}

class FaultList {
  readonly #faults: Fault[] = [];
  readonly #paths = new Set<string>();

  constructor(private readonly yaml: YamlFile) {}

  get any(): boolean {
    return this.#faults.length > 0;
  }

  /** One fault a path: what follows from the first would only confuse. */
  add(path: Path, what: string): void {
    const text = formatPath(path);
    if (this.#paths.has(text)) return;
    this.#paths.add(text);
    this.#faults.push({ path: text, line: this.yaml.lineOf(path), what });
  }

  refusal(): SettingsRefused {
    const sorted = this.#faults.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.path < b.path ? -1 : 1));
    return new SettingsRefused(this.yaml.file, sorted);
  }
}

function takeReservedOut(data: unknown, faults: FaultList): unknown {
  let out = data;
  for (const { path, comes } of reservedKeys) {
    out = withoutKey(out, [], path, (at) => faults.add(at, `is reserved: it ${comes}; leave it out`));
  }
  return out;
}

function withoutKey(value: unknown, at: Path, pattern: readonly string[], found: (path: Path) => void): unknown {
  const [head, ...rest] = pattern;
  if (head === undefined || typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const entries = Object.entries(value).flatMap(([key, child]): [string, unknown][] => {
    if (head !== "*" && head !== key) return [[key, child]];
    if (rest.length === 0) {
      found([...at, key]);
      return [];
    }
    return [[key, withoutKey(child, [...at, key], rest, found)]];
  });
  return Object.fromEntries(entries);
}

type Issue = z.core.$ZodIssue;
interface IssueContext {
  readonly data: unknown;
  readonly schema: JsonSchema;
  readonly faults: FaultList;
}

function addIssue(issue: Issue, above: Path, context: IssueContext): void {
  const path: Path = [...above, ...issue.path.map((part) => (typeof part === "number" ? part : String(part)))];
  if (issue.code === "unrecognized_keys") {
    const known = knownKeysAt(context.schema, path);
    for (const key of issue.keys) context.faults.add([...path, key], unknownKey(key, known));
    return;
  }
  if (issue.code === "invalid_union") {
    const branch = closestBranch(issue.errors);
    if (branch !== null) {
      for (const inner of branch) addIssue(inner, path, context);
      return;
    }
  }
  const value = valueAt(context.data, path);
  context.faults.add(path, value === undefined ? "is missing" : issue.message.replace(/^Invalid input: ?/, "is wrong: "));
}

function unknownKey(key: string, known: readonly string[]): string {
  const meant = nearest(key, known);
  if (meant !== null) return `is not a setting; did you mean '${meant}'?`;
  return known.length === 0 ? "is not a setting" : `is not a setting; known here: ${known.join(", ")}`;
}

/** The branch of a union that the value was meant for: one that did not already refuse its kind. */
function closestBranch(branches: readonly (readonly Issue[])[]): readonly Issue[] | null {
  const meant = branches.filter(
    (issues) => issues.length > 0 && issues.every((issue) => issue.path.length > 0 || issue.code === "unrecognized_keys"),
  );
  const [first, ...others] = meant;
  if (first === undefined) return branches[0] ?? null;
  return others.reduce((best, issues) => (issues.length < best.length ? issues : best), first);
}

function valueAt(data: unknown, path: Path): unknown {
  let value = data;
  for (const part of path) {
    if (typeof value !== "object" || value === null) return undefined;
    value = (value as Record<string, unknown>)[part];
  }
  return value;
}
