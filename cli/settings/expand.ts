/**
 * `${VAR}` and `${file:/path}` in string values. Done after parsing and never parsed again, so that a password full of quotes, colons and
 * newlines stays one value. Missing and empty are faults: an unset variable must never become an empty password. `$${` stands for `${`.
 */
import { closeSync, fstatSync, openSync, readFileSync, statSync } from "node:fs";
import { isAbsolute, resolve } from "node:path";
import type { Path } from "./read-yaml.js";

const fileBytesMax = 64 * 1024;

export interface ExpansionContext {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Relative `${file:...}` paths start here. */
  readonly directory: string;
  readonly report: (path: Path, what: string) => void;
}

/** Returns the data with every string value expanded. A string with a fault becomes `unset`, so that it is not reported twice. */
export function expand(value: unknown, path: Path, context: ExpansionContext): unknown {
  if (typeof value === "string") return expandText(value, path, context);
  if (Array.isArray(value)) return value.map((item, i) => expand(item, [...path, i], context));
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, expand(child, [...path, key], context)]));
  }
  return value;
}

export const usesExpansion = (text: string): boolean => /(?<!\$)\$\{/.test(text);

function expandText(text: string, path: Path, context: ExpansionContext): string {
  let out = "";
  let at = 0;
  for (;;) {
    const open = text.indexOf("${", at);
    if (open === -1) return out + text.slice(at);
    if (open > at && text[open - 1] === "$") {
      out += `${text.slice(at, open - 1)}\${`;
      at = open + 2;
      continue;
    }
    const close = text.indexOf("}", open);
    if (close === -1) {
      context.report(path, "has `${` without `}` (write `$${` for the two characters themselves)");
      return text;
    }
    out += text.slice(at, open) + lookUp(text.slice(open + 2, close), path, context);
    at = close + 1;
  }
}

function lookUp(name: string, path: Path, context: ExpansionContext): string {
  if (name.startsWith("file:")) return readSecretFile(name.slice("file:".length), path, context);
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
    context.report(path, "has `${...}` that is neither a variable's name nor `file:/path`");
    return "";
  }
  // Only what was set: an environment is an object, and every object has a `constructor`.
  const value = Object.hasOwn(context.environment, name) ? context.environment[name] : undefined;
  if (value === undefined) context.report(path, `needs the environment variable ${name}, which is not set`);
  else if (value === "") context.report(path, `needs the environment variable ${name}, which is empty`);
  return value ?? "";
}

function readSecretFile(name: string, path: Path, context: ExpansionContext): string {
  const file = isAbsolute(name) ? name : resolve(context.directory, name);
  try {
    // By name first: opening a FIFO would wait for ever.
    if (!statSync(file).isFile()) throw new Error("not an ordinary file");
    const fd = openSync(file, "r");
    try {
      if (fstatSync(fd).size > fileBytesMax) throw new Error(`larger than ${fileBytesMax / 1024} KiB`);
      // Editors and `echo` end a file with a newline that is not part of the secret.
      const value = readFileSync(fd, "utf8").replace(/\r?\n$/, "");
      if (value === "") context.report(path, `needs the file ${file}, which is empty`);
      return value;
    } finally {
      closeSync(fd);
    }
  } catch (cause) {
    const code = (cause as { code?: unknown }).code;
    const why = code === "ENOENT" ? "does not exist" : `cannot be read (${typeof code === "string" ? code : (cause as Error).message})`;
    context.report(path, `needs the file ${file}, which ${why}`);
    return "";
  }
}
