/**
 * A settings file as plain data, with a line for every path. Promises: a file that is not one well-formed, reasonably small YAML map is
 * refused with the line; nothing is guessed (duplicate keys, tabs, numbers that JavaScript would round).
 */
import { closeSync, fstatSync, openSync, readFileSync, statSync } from "node:fs";
import { type Document, isMap, isPair, isScalar, isSeq, LineCounter, type Node, parseAllDocuments } from "yaml";
import { parseDecimal, sameDecimal } from "../../core/mapping/decimal.js";
import { type Fault, formatPath, SettingsRefused } from "./faults.js";

export const bytesMax = 1024 * 1024;
const aliasesMax = 100;
/** The parser takes minutes, or the whole stack, for what nobody writes. */
const nestingMax = 200;

export type Path = readonly (string | number)[];
export interface YamlFile {
  readonly file: string;
  readonly data: Readonly<Record<string, unknown>>;
  /** Line of the key (or list item) at a path, or of its nearest parent. */
  lineOf(path: Path): number | null;
}

export function readYaml(file: string): YamlFile {
  return parseYaml(file, readText(file));
}

function readText(file: string): string {
  const bytes = readBytes(file);
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf)
    throw refused(file, 1, "begins with a byte order mark; save it as UTF-8 without BOM");
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw refused(file, 1, "is not UTF-8 text");
  }
}

function readBytes(file: string): Buffer {
  let fd: number;
  try {
    // By name first: opening a FIFO would wait for ever.
    if (!statSync(file).isFile()) throw refused(file, null, "is not an ordinary file");
    fd = openSync(file, "r");
  } catch (cause) {
    if (cause instanceof SettingsRefused) throw cause;
    const code = (cause as { code?: unknown }).code;
    if (code === "ENOENT") throw refused(file, null, "does not exist; `tailrace init --source FILE` writes one, `-c FILE` names another");
    throw refused(file, null, `cannot be read (${String(code)})`);
  }
  try {
    if (fstatSync(fd).size > bytesMax) throw refused(file, null, `is larger than ${bytesMax / 1024} KiB; settings are not`);
    return readFileSync(fd);
  } finally {
    closeSync(fd);
  }
}

export function parseYaml(file: string, text: string): YamlFile {
  if (nesting(text) > nestingMax) throw refused(file, null, `is nested deeper than ${nestingMax}`);
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, { lineCounter: lines, uniqueKeys: true, prettyErrors: false, stringKeys: true });
  if (!Array.isArray(documents) || documents.length === 0) throw refused(file, 1, "is empty");
  const [document, second] = documents as readonly Document.Parsed[];
  if (document === undefined) throw refused(file, 1, "is empty");
  if (second !== undefined) throw refused(file, lines.linePos(second.range[0]).line, "holds a second document; one file, one pipeline");
  if (document.errors.length > 0) {
    throw new SettingsRefused(
      file,
      document.errors.map((error) => ({ path: "", line: lines.linePos(error.pos[0]).line, what: `is not YAML: ${error.message}` })),
    );
  }
  const lineOf = (path: Path): number | null => lineAt(document, path, lines);
  if (!isMap(document.contents)) throw refused(file, 1, "must be a map of settings (pipeline, source, ...)");
  const data = plain(file, document);
  const faults: Fault[] = [];
  const report = (path: Path, what: string): void => void faults.push({ path: formatPath(path), line: lineOf(path), what });
  checkTree(data, [], new Set(), report);
  checkNumbers(document.contents, [], report);
  if (faults.length > 0) throw new SettingsRefused(file, faults);
  return { file, data: data as Record<string, unknown>, lineOf };
}

function plain(file: string, document: Document.Parsed): unknown {
  try {
    return document.toJS({ maxAliasCount: aliasesMax });
  } catch (cause) {
    throw refused(
      file,
      null,
      cause instanceof ReferenceError ? "uses too many aliases, or one that is not defined" : "cannot be read as YAML",
    );
  }
}

/** Of brackets, by and large: quotes and comments are not looked at. */
function nesting(text: string): number {
  let depth = 0;
  let most = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit === 0x5b || unit === 0x7b) most = Math.max(most, ++depth);
    else if (unit === 0x5d || unit === 0x7d) depth--;
  }
  return most;
}

const rounded = "is a number that would be rounded; put it in quotes";

/** As they are written: a number that JavaScript has rounded no longer shows it. `checkTree` sees to whole numbers. */
function checkNumbers(node: unknown, path: Path, report: (path: Path, what: string) => void): void {
  if (isMap(node)) {
    for (const { key, value } of node.items) if (isScalar(key)) checkNumbers(value, [...path, String(key.value)], report);
  } else if (isSeq(node)) {
    node.items.forEach((item, i) => checkNumbers(item, [...path, i], report));
  } else if (isScalar(node) && typeof node.value === "number" && !Number.isInteger(node.value)) {
    const written = parseDecimal(node.source ?? "");
    const read = parseDecimal(String(node.value));
    if (written !== null && (read === null || !sameDecimal(written, read))) report(path, rounded);
    else if (!Number.isFinite(node.value) && !isWhole(path)) report(path, "is not a number that JSON can hold");
  } else if (isScalar(node) && node.value === 0) {
    const written = parseDecimal(node.source ?? "0");
    if (written !== null && written.digits !== "") report(path, rounded);
  }
}

/** A constant of its own; below it, values become JSON. */
const isWhole = (path: Path): boolean => path.at(-1) === "constant";

function checkTree(value: unknown, path: Path, above: Set<object>, report: (path: Path, what: string) => void): void {
  if (typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value)) {
    report(path, "is a whole number that would be rounded; put it in quotes");
  }
  if (typeof value !== "object" || value === null) return;
  if (above.has(value)) {
    report(path, "refers to itself");
    return;
  }
  above.add(value);
  for (const [key, child] of Object.entries(value)) {
    const at = [...path, Array.isArray(value) ? Number(key) : key];
    if (key === "__proto__") report(at, "cannot be used as a name in the settings file");
    else checkTree(child, at, above, report);
  }
  above.delete(value);
}

function lineAt(document: Document.Parsed, path: Path, lines: LineCounter): number | null {
  let node: unknown = document.contents;
  let offset: number | null = null;
  for (const part of path) {
    if (isMap(node)) {
      const pair = node.items.find((item) => isPair(item) && isScalar(item.key) && String(item.key.value) === String(part));
      if (pair === undefined) break;
      offset = (pair.key as Node).range?.[0] ?? offset;
      node = pair.value;
    } else if (typeof node === "object" && node !== null && "items" in node && Array.isArray(node.items)) {
      node = node.items[Number(part)];
      offset = (node as Node | undefined)?.range?.[0] ?? offset;
    } else break;
  }
  return offset === null ? null : lines.linePos(offset).line;
}

const refused = (file: string, line: number | null, what: string): SettingsRefused => new SettingsRefused(file, [{ path: "", line, what }]);
