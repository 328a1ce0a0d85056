/** Who may import whom: core ← schemas ← connectors ← services/main.ts ← cli, and each foreign package in one folder. */
import { existsSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, expect, it } from "vitest";
import { productionFolders, type Shape, shapeOf, sourceFiles } from "../../bench/shape.mjs";

const root = process.cwd();
const shapes = sourceFiles(root, productionFolders).map((path) => shapeOf(root, path));

/** A foreign package may be imported from one folder; these few are needed by two, each for the reason given. */
const shared: Readonly<Record<string, readonly string[]>> = {
  // Both are SQLite files; connectors may not see each other.
  "better-sqlite3": ["connectors/sqlite", "connectors/embedded-log"],
};
/** One service is made of two others, its ends exchanged. */
const rewires: Readonly<Record<string, readonly string[]>> = { "services/reverse/main.ts": ["services/source", "services/sink"] };
/** Packages whose folder is part of the design. */
const home: Readonly<Record<string, string>> = { avsc: "schemas", kafkajs: "connectors/kafka", pg: "connectors/postgres", pino: "core" };

/** `core`, `schemas`, `cli`, `connectors/kafka`, `services/sink`: what the law is about. */
function roomOf(path: string): string {
  const [top = "", second = ""] = path.split("/");
  return (top === "connectors" || top === "services") && path.split("/").length > 2 ? `${top}/${second}` : top;
}
const packageOf = (specifier: string): string =>
  specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");

function maySee(from: Shape, room: string): boolean {
  const own = roomOf(from.path);
  if (room === own || own === "cli") return true;
  if (rewires[from.path]?.includes(room) === true) return true;
  if (own === "core") return false;
  if (room === "core") return true;
  if (own === "schemas") return false;
  // Files beside the connectors choose between them (open-log.ts): wiring, as in a main.ts.
  if (own === "connectors") return room.startsWith("connectors/");
  if (own.startsWith("connectors/")) return room === "schemas";
  return (
    own.startsWith("services/") &&
    from.path === `${own}/main.ts` &&
    (room === "schemas" || room === "connectors" || room.startsWith("connectors/"))
  );
}

const statements = shapes.flatMap((shape) => shape.imports.map((statement) => ({ shape, ...statement })));
const at = (s: (typeof statements)[number]): string => `${s.shape.path}:${s.line} imports ${s.specifier ?? "a computed name"}`;
const isRelative = (specifier: string | null): boolean => specifier?.startsWith(".") === true;
const isForeign = (specifier: string | null): boolean => specifier !== null && !isRelative(specifier) && !specifier.startsWith("node:");

/** Each circle once, as the way around it. */
function circlesIn(below: ReadonlyMap<string, readonly string[]>): readonly string[] {
  const done = new Set<string>();
  const circles: string[] = [];
  const walk = (path: string, way: readonly string[]): void => {
    if (way.includes(path)) circles.push([...way.slice(way.indexOf(path)), path].join(" ▸ "));
    if (done.has(path) || way.includes(path)) return;
    for (const next of below.get(path) ?? []) walk(next, [...way, path]);
    done.add(path);
  };
  for (const path of below.keys()) walk(path, []);
  return circles;
}

describe("the import law", () => {
  it("lets every room see only the rooms below it", () => {
    const broken = statements.filter(
      (s) => isRelative(s.specifier) && !maySee(s.shape, roomOf(normalize(join(dirname(s.shape.path), s.specifier ?? "")))),
    );
    expect(broken.map(at)).toEqual([]);
  });

  it("keeps core free of foreign packages but for pino", () => {
    const broken = statements.filter((s) => roomOf(s.shape.path) === "core" && isForeign(s.specifier) && s.specifier !== "pino");
    expect(broken.map(at)).toEqual([]);
  });

  it("keeps each foreign package in one folder", () => {
    const rooms = new Map<string, Set<string>>();
    for (const { shape, specifier } of statements) {
      if (specifier === null || !isForeign(specifier)) continue;
      const name = packageOf(specifier);
      rooms.set(name, (rooms.get(name) ?? new Set()).add(roomOf(shape.path)));
    }
    const scattered = [...rooms].filter(([name, seen]) => seen.size > 1 && [...seen].some((room) => shared[name]?.includes(room) !== true));
    expect(scattered.map(([name, seen]) => `${name} in ${[...seen].join(", ")}`)).toEqual([]);
    const astray = [...rooms].filter(([name, seen]) => home[name] !== undefined && [...seen].some((room) => room !== home[name]));
    expect(astray.map(([name, seen]) => `${name} belongs to ${home[name]}, not to ${[...seen].join(", ")}`)).toEqual([]);
  });

  it("has no circles: no file needs itself to be loaded", () => {
    const below = new Map<string, string[]>(shapes.map(({ path }) => [path, []]));
    for (const { shape, specifier, onCall } of statements) {
      if (specifier === null || onCall || !isRelative(specifier)) continue;
      below.get(shape.path)?.push(normalize(join(dirname(shape.path), specifier)).replace(/\.js$/, ".ts"));
    }
    expect(circlesIn(below)).toEqual([]);
  });

  it("names every import by a literal, relative ones by their .js file", () => {
    const broken = statements.filter((s) => {
      if (s.specifier === null) return true;
      if (!isRelative(s.specifier)) return !s.specifier.startsWith("node:") && !/^[@a-z]/.test(s.specifier);
      return !s.specifier.endsWith(".js") || !existsSync(join(root, dirname(s.shape.path), s.specifier.replace(/\.js$/, ".ts")));
    });
    expect(broken.map(at)).toEqual([]);
  });

  it("says node: before every module of Node itself", () => {
    const builtin = new Set([
      "fs",
      "path",
      "os",
      "crypto",
      "child_process",
      "net",
      "http",
      "https",
      "util",
      "events",
      "stream",
      "url",
      "zlib",
    ]);
    expect(statements.filter((s) => s.specifier !== null && builtin.has(packageOf(s.specifier))).map(at)).toEqual([]);
  });
});
