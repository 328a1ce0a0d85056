/**
 * The shape of the source: sizes, imports and forbidden constructs, read from the syntax tree. `npm run shape` prints the largest
 * files and functions; test/architecture turns the same figures into laws.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { argv } from "node:process";
import { fileURLToPath } from "node:url";
import { parseSync } from "vite";

export const productionFolders = ["core", "schemas", "connectors", "services", "cli"];

/** Paths relative to `root`, sorted. */
export function sourceFiles(root, folders) {
  const found = [];
  const walk = (folder) => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory() && entry.name !== "node_modules") walk(path);
      else if (/\.(ts|mts|mjs)$/.test(entry.name)) found.push(path);
    }
  };
  const present = new Set(readdirSync(root));
  for (const folder of folders) if (present.has(folder)) walk(folder);
  return found.sort((a, b) => (a < b ? -1 : 1));
}

export const shapeOf = (root, path) => shapeOfText(path, readFileSync(join(root, path), "utf8"));

/** What the laws look at. Throws when the text does not parse. */
export function shapeOfText(path, text) {
  const parsed = parseSync(path, text);
  if (parsed.errors.length > 0) throw new Error(`${path}: ${parsed.errors[0].message}`);
  const starts = [0];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  const lineOf = (offset) => starts.findLastIndex((start) => start <= offset) + 1;
  const shape = {
    path,
    lines: text.endsWith("\n") ? starts.length - 1 : starts.length,
    text: text.split("\n"),
    imports: [],
    functions: [],
    findings: [],
    calls: [],
  };
  visit(parsed.program, null, shape, lineOf);
  return shape;
}

const functionTypes = new Set(["FunctionDeclaration", "FunctionExpression", "ArrowFunctionExpression"]);
const importTypes = new Set(["ImportDeclaration", "ExportNamedDeclaration", "ExportAllDeclaration", "ImportExpression", "TSImportType"]);
const forbiddenTypes = {
  TSAnyKeyword: "any",
  TSNonNullExpression: "non-null !",
  ExportDefaultDeclaration: "default export",
  TSEnumDeclaration: "enum",
};

function visit(node, parent, shape, lineOf) {
  const line = lineOf(node.start);
  if (functionTypes.has(node.type) && node.body) {
    shape.functions.push({ name: nameOf(node, parent), line, lines: lineOf(node.end) - line + 1 });
  }
  if (importTypes.has(node.type)) {
    const source = node.source ?? node.argument;
    const onCall = node.type === "ImportExpression";
    if (source) shape.imports.push({ specifier: typeof source.value === "string" ? source.value : null, line, onCall });
  }
  if (node.type in forbiddenTypes) shape.findings.push({ kind: forbiddenTypes[node.type], line });
  if (node.type === "CallExpression") shape.calls.push({ callee: calleeName(node.callee), line, args: node.arguments });
  for (const key of Object.keys(node)) {
    const below = node[key];
    for (const child of Array.isArray(below) ? below : [below]) {
      if (child !== null && typeof child === "object" && typeof child.type === "string") visit(child, node, shape, lineOf);
    }
  }
}

/** `it.skipIf(x)(…)` is called `it.skipIf()`. */
function calleeName(callee) {
  if (callee.type === "Identifier") return callee.name;
  if (callee.type === "MemberExpression" && !callee.computed) return `${calleeName(callee.object)}.${callee.property.name}`;
  if (callee.type === "CallExpression") return `${calleeName(callee.callee)}()`;
  return "?";
}

function nameOf(node, parent) {
  const named = node.id ?? parent?.key ?? parent?.id ?? parent?.left;
  return named?.name ?? named?.property?.name ?? "(anonymous)";
}

function printLargest(root) {
  const shapes = sourceFiles(root, [...productionFolders, "test", "bench", "examples"]).map((path) => shapeOf(root, path));
  const produced = shapes.filter(({ path }) => productionFolders.includes(path.split("/")[0]));
  const sizes = produced.map(({ lines }) => lines).sort((a, b) => a - b);
  const total = (list) => list.reduce((sum, { lines }) => sum + lines, 0);
  console.log(`production: ${produced.length} files, ${total(produced)} lines, median ${sizes[sizes.length >> 1] ?? 0} a file`);
  console.log(`tests and benches: ${shapes.length - produced.length} files, ${total(shapes) - total(produced)} lines`);
  console.log("\nlargest files");
  for (const { path, lines } of [...shapes].sort((a, b) => b.lines - a.lines).slice(0, 10))
    console.log(`${String(lines).padStart(6)}  ${path}`);
  console.log("\nlargest functions");
  const functions = produced.flatMap(({ path, functions }) => functions.map((f) => ({ ...f, path })));
  for (const { name, lines, path, line } of functions.sort((a, b) => b.lines - a.lines).slice(0, 15)) {
    console.log(`${String(lines).padStart(6)}  ${name}  ${path}:${line}`);
  }
}

if (argv[1] === fileURLToPath(import.meta.url)) printLargest(process.cwd());
