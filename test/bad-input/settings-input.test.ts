/** Settings and environment as nobody should write them: each line ends in settings that say the same, or in a refusal that names line and path. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SettingsRefused } from "../../cli/settings/faults.js";
import { type LoadedSettings, loadSettings } from "../../cli/settings/load-settings.js";
import { cpuMs } from "../support/cpu-time.js";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "tailrace-bad-settings-"));
  mkdirSync(join(directory, "folder"));
  writeFileSync(join(directory, "empty"), "");
  writeFileSync(join(directory, "large"), "x".repeat(65 * 1024));
  writeFileSync(join(directory, "pem-of-9-MiB"), `-----BEGIN CERTIFICATE-----\n${"x".repeat(9 << 20)}`);
  writeFileSync(join(directory, "newline\nname"), "secret");
  symlinkSync(join(directory, "self"), join(directory, "self"));
  execFileSync("mkfifo", [join(directory, "fifo")]);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const least = "pipeline: shop\nsource: { kind: sqlite, path: ./shop.db }\n";
const schemaIs = (value: string): string => `${least}target: { schema: ${value} }\n`;
const constantIs = (value: string): string => `${least}tables: { t: { columns: { c: { constant: ${value} } } } }\n`;

function load(text: string | Uint8Array, environment: Record<string, string> = {}): LoadedSettings {
  const file = join(directory, "tailrace.yaml");
  writeFileSync(file, text);
  return loadSettings(file, environment);
}
/** Every fault on a line; null: it was taken. Each line in time: nothing here may take long. */
function refusalOf(text: string | Uint8Array, environment: Record<string, string> = {}): string | null {
  const started = cpuMs();
  try {
    load(text, environment);
    return null;
  } catch (thrown) {
    if (!(thrown instanceof SettingsRefused)) throw thrown;
    expect(JSON.stringify(thrown.faults).length, "a refusal that echoes the input").toBeLessThan(20_000);
    return thrown.faults.map(({ line, path, what }) => `${line ?? "-"} ${path} ${what}`).join("\n");
  } finally {
    expect(cpuMs() - started).toBeLessThan(5_000);
  }
}

const refused: readonly (readonly [what: string, text: string | Uint8Array, says: RegExp])[] = [
  ["a key in another case", `${least}Target: {}\n`, /^3 Target is not a setting; did you mean 'target'\?/],
  ["a key with a letter too many", `${least}targett: {}\n`, /did you mean 'target'\?/],
  ["a key far from all", `${least}zzzzzzzz: 1\n`, /is not a setting; known here: pipeline, source/],
  ["a key of another tool", `${least}connector.class: x\n`, /is not a setting/],
  [
    "a nested key that is unknown",
    "pipeline: a\nsource: { kind: sqlite, path: x, pth: y }\n",
    /^2 source.pth is not a setting; did you mean 'path'/,
  ],
  ["a key a megabyte long", `${least}${"k".repeat(900_000)}: 1\n`, /is not a setting|not YAML/],
  ["a duplicate key", `${least}pipeline: shop\n`, /^3 .*not YAML/],
  ["a duplicate key deep down", `${least}tables: { a: { to: x, to: y } }\n`, /^3 .*not YAML/],
  ["a duplicate table", `${least}tables:\n  a: {}\n  a: {}\n`, /^5 .*not YAML/],
  ["a tab", `${least}target:\n\tschema: x\n`, /^4 .*not YAML/],
  ["a byte order mark", `\uFEFF${least}`, /byte order mark/],
  ["UTF-16", Buffer.from(`\uFEFF${least}`, "utf16le"), /not UTF-8/],
  ["Latin-1", Buffer.from(`${least}target: { schema: "caf\xe9" }\n`, "latin1"), /not UTF-8/],
  ["a cut off character", Buffer.concat([Buffer.from(least), Buffer.of(0xf0, 0x9f)]), /not UTF-8/],
  ["an overlong encoding", Buffer.concat([Buffer.from(`${least}#`), Buffer.of(0xc0, 0x80)]), /not UTF-8/],
  ["a NUL byte", `${least}\0`, /not YAML|must be/],
  ["nothing", "", /is empty|must be a map/],
  ["a comment alone", "# nothing\n", /is empty|must be a map/],
  ["a list", "- pipeline\n", /must be a map/],
  ["a text", "pipeline", /must be a map/],
  ["a null", "~\n", /must be a map|is empty/],
  ["JSON that is cut off", '{"pipeline": "shop", "source": {"kind"', /not YAML/],
  ["two documents", `${least}---\n${least}`, /second document/],
  ["an end and a rest", `${least}...\nfoo: 1\n`, /second document|not YAML/],
  ["an alias that nobody defined", `${least}target: *x\n`, /alias/],
  ["an anchor to itself", `${least}tables: &a { b: *a }\n`, /itself|alias/],
  ["a list in itself", `${least}tables: { t: { columns: { c: { constant: &l [*l] } } } }\n`, /itself|alias/],
  [
    "an alias bomb",
    `x0: &x0 [lol]\n${Array.from({ length: 9 }, (_, i) => `x${i + 1}: &x${i + 1} [${Array(9).fill(`*x${i}`).join(", ")}]`).join("\n")}\n`,
    /too many aliases/,
  ],
  [
    "an alias bomb of keys",
    `a: &a {k: v}\n${Array.from({ length: 60 }, (_, i) => `b${i}: [${Array(20).fill("*a").join(",")}]`).join("\n")}\n`,
    /too many aliases|is not a setting/,
  ],
  ["a file of 2 MiB", `# ${"x".repeat(2 << 20)}\n`, /larger than 1024 KiB/],
  ["a million open brackets", `${least}x: ${"[".repeat(900_000)}`, /not YAML|nested/],
  ["a hundred thousand lists in lists", `${least}x: ${"[".repeat(100_000)}${"]".repeat(100_000)}\n`, /nested|not YAML/],
  ["ten thousand maps in maps", `${least}x: ${"{a: ".repeat(10_000)}1${"}".repeat(10_000)}\n`, /nested|not YAML/],
  ["ten thousand block lists in lists", `${least}x:\n ${"- ".repeat(10_000)}1\n`, /nested|not YAML/],
  ["a complex key", `${least}? [a, b]\n: 1\n`, /not YAML|must be|is not a setting/],
  ["a tag that makes code", `${least}target: !!js/function 'function () { return 1 }'\n`, /target|not YAML/],
  ["a tag that is binary", `${least}target: { schema: !!binary aGk= }\n`, /target.schema|not YAML/],
  ["a merge key", `${least}<<: { target: { schema: x } }\n`, /<<.*is not a setting/],
  ["an integer above 2^53", constantIs("9007199254740993"), /would be rounded/],
  ["an integer of twenty digits", constantIs("12345678901234567890"), /would be rounded/],
  ["a negative one", constantIs("-9007199254740993"), /would be rounded/],
  ["a hexadecimal one", constantIs("0x20000000000001"), /would be rounded/],
  ["a decimal with more digits than a double has", constantIs("0.12345678901234567891"), /would be rounded/],
  ["an exponent that is too large", constantIs("1e400"), /would be rounded/],
  ["one that is too small", constantIs("1e-400"), /would be rounded/],
  ["NaN inside a list, which JSON has not", constantIs("[1, .nan]"), /not a number that JSON/],
  ["infinity inside a map", constantIs("{ a: -.inf }"), /not a number that JSON/],
  ["__proto__ as a table", `${least}tables: { __proto__: {} }\n`, /cannot be used as a name/],
  ["__proto__ as a column", `${least}tables: { a: { columns: { __proto__: { to: x } } } }\n`, /cannot be used as a name/],
  ["__proto__ as a setting", `${least}__proto__: { polluted: true }\n`, /cannot be used as a name/],
  ["constructor as a setting", `${least}constructor: { prototype: { polluted: true } }\n`, /constructor is not a setting/],
  ["toString as a setting", `${least}target: { toString: 1 }\n`, /toString is not a setting/],
  ["hasOwnProperty as a setting of a table", `${least}tables: { a: { hasOwnProperty: 1 } }\n`, /hasOwnProperty is not a setting/],
  ["a number for a pipeline", "pipeline: 12\nsource: { kind: sqlite, path: x }\n", /^1 pipeline/],
  ["a list for a pipeline", "pipeline: [a]\nsource: { kind: sqlite, path: x }\n", /^1 pipeline must be text/],
  ["`no` where a block is wanted", `${least}target: no\n`, /^3 target/],
  ["a path in a pipeline", "pipeline: ../a\nsource: { kind: sqlite, path: x }\n", /^1 pipeline must begin with/],
  ["a newline in a pipeline", 'pipeline: "a\\nb"\nsource: { kind: sqlite, path: x }\n', /^1 pipeline must begin with/],
  ["a pipeline of 64 characters", `pipeline: ${"a".repeat(64)}\nsource: { kind: sqlite, path: x }\n`, /^1 pipeline/],
  ["a NUL in a path", 'pipeline: a\nsource: { kind: sqlite, path: "a\\0b" }\n', /source.path.*NUL/],
  ["an empty path", 'pipeline: a\nsource: { kind: sqlite, path: "" }\n', /source.path must not be empty/],
  ["a table in two groups", `${least}groups: { a: [orders], b: [orders] }\n`, /groups.b.0. is in group 'a' already/],
  ["a table twice in one group", `${least}groups: { a: [orders, orders] }\n`, /groups.a.1. is in group 'a' already/],
  ["a group without a table", `${least}groups: { a: [] }\n`, /groups.a needs at least one table/],
  ["a group that is one table's name", `${least}groups: { a: orders }\n`, /groups.a must be a list of table names/],
  [
    "a group of the name that others have",
    `${least}groups: { main: [orders] }\n`,
    /groups.main is the group of all tables that no group names/,
  ],
  ["a group with a capital", `${least}groups: { A: [orders] }\n`, /groups.A must begin with a-z/],
  [
    "a group's table that is not listed",
    `${least}tables: { orders: {} }\ngroups: { a: [order] }\n`,
    /groups.a.0. is not listed in `tables`/,
  ],
  ["a port that is none", `${least}http: { listen: "127.0.0.1:99999" }\n`, /http.listen/],
  ["a negative port", `${least}http: { listen: "127.0.0.1:-1" }\n`, /http.listen/],
  ["all addresses", `${least}http: { listen: "0.0.0.0:8731" }\n`, /loopback/],
  ["all addresses, in six", `${least}http: { listen: "[::]:8731" }\n`, /loopback/],
  ["a name that only looks local", `${least}http: { listen: "localhost.evil.example:80" }\n`, /loopback/],
  ["an octal address", `${least}http: { listen: "0177.0.0.1:80" }\n`, /loopback|host:port/],
  ["a URL of another scheme", `${least}target: { url: "file:///etc/passwd" }\n`, /must begin with postgres/],
  ["a URL that is none", `${least}target: { url: "postgres://u:p@ss@:x/y" }\n`, /target.url/],
  ["a registry that is a file", `${least}log: { kind: kafka, brokers: ["a:1"], registry: "file:///etc/passwd" }\n`, /http:\/\/ or https/],
  ["a registry with a password", `${least}log: { kind: kafka, brokers: ["a:1"], registry: "http://u:p@h" }\n`, /must not hold a password/],
  ["no brokers", `${least}log: { kind: kafka, brokers: [] }\n`, /at least one/],
  ["a broker with a path", `${least}log: { kind: kafka, brokers: ["h:1/x"] }\n`, /host:port/],
  ["a broker over two lines", `${least}log: { kind: kafka, brokers: ["h:1\\nevil:2"] }\n`, /host:port/],
  ["a replication factor of zero", `${least}log: { kind: kafka, brokers: ["a:1"], replicationFactor: 0 }\n`, /-1/],
  ["half a replica", `${least}log: { kind: kafka, brokers: ["a:1"], replicationFactor: 1.5 }\n`, /whole number/],
  [
    "a certificate without its key",
    `${least}log: { kind: kafka, brokers: ["a:1"], tls: { cert: "-----BEGIN x" } }\n`,
    /cert. and .key. together/,
  ],
  ["a CA that is a folder", `${least}log: { kind: kafka, brokers: ["a:1"], tls: { ca: folder } }\n`, /cannot be read/],
  ["a CA that is a pipe", `${least}log: { kind: kafka, brokers: ["a:1"], tls: { ca: fifo } }\n`, /cannot be read/],
  ["a CA of 9 MiB", `${least}log: { kind: kafka, brokers: ["a:1"], tls: { ca: pem-of-9-MiB } }\n`, /cannot be read .*(large|larger)/],
  ["a CA with a NUL in its path", `${least}log: { kind: kafka, brokers: ["a:1"], tls: { ca: "a\\0b" } }\n`, /NUL/],
  ["a table name of three parts", `${least}tables: { a: { to: x.y.z } }\n`, /name or schema.name/],
  ["an unfinished ${", schemaIs('"${A"'), /without `}`/],
  ["an empty ${}", schemaIs('"${}"'), /neither a variable/],
  ["${ inside ${", schemaIs('"${A${B}}"'), /neither a variable/],
  ["a variable with a space", schemaIs('"${a b}"'), /neither a variable/],
  ["a command", schemaIs('"${$(id)}"'), /neither a variable/],
  ["a variable that every object has", schemaIs('"${constructor}"'), /constructor, which is not set/],
  ["another one", schemaIs('"${toString}"'), /toString, which is not set/],
  ["and its prototype", schemaIs('"${__proto__}"'), /__proto__, which is not set/],
  ["a secret that is a folder", schemaIs('"${file:folder}"'), /not an ordinary file/],
  ["a secret that is a pipe", schemaIs('"${file:fifo}"'), /not an ordinary file/],
  ["a secret that is a device", schemaIs('"${file:/dev/zero}"'), /not an ordinary file/],
  ["a secret that is empty", schemaIs('"${file:empty}"'), /empty/],
  ["a secret of 65 KiB", schemaIs('"${file:large}"'), /larger than 64 KiB/],
  ["a secret that links to itself", schemaIs('"${file:self}"'), /target.schema/],
  ["a secret with a NUL in its path", schemaIs('"${file:a\\0b}"'), /target.schema/],
];

const taken: readonly (readonly [what: string, text: string, schema: string, environment?: Record<string, string>])[] = [
  ["`no`, which is a text", schemaIs("no"), "no"],
  ["`0o17` in quotes", schemaIs('"0o17"'), "0o17"],
  ["a variable with a newline", schemaIs('"${V}"'), "a\nb", { V: "a\nb" }],
  ["a variable full of YAML", schemaIs('"${V}"'), '{a: [*x, "', { V: '{a: [*x, "' }],
  ["a variable with ${ in it", schemaIs('"${V}"'), "${W}", { V: "${W}", W: "not this" }],
  ["a variable with quotes and a comment", schemaIs('"${V}"'), `'"#`, { V: `'"#` }],
  ["a variable of a megabyte", schemaIs('"${V}"'), "v".repeat(1 << 20), { V: "v".repeat(1 << 20) }],
  ["two variables and a text", schemaIs('"${A}-${B}"'), "1-2", { A: "1", B: "2" }],
  ["a dollar alone", schemaIs('"a$b"'), "a$b"],
  ["the two characters themselves", schemaIs('"$${A}"'), "${A}"],
  ["a file with a newline in its name", schemaIs('"${file:newline\\nname}"'), "secret"],
  ["an emoji", schemaIs('"\u{1F600}"'), "\u{1F600}"],
  ["Windows line ends", schemaIs("x").replaceAll("\n", "\r\n"), "x"],
];

describe("settings that are refused, by line and path:", () => {
  it.each(refused)("%s", (_, text, says) => {
    expect(refusalOf(text)).toMatch(says);
    expect(({} as Record<string, unknown>)["polluted"]).toBe(undefined);
  });
});

describe("settings that mean what they say:", () => {
  it.each(taken.map(([what, text, schema, environment = {}]) => [what, text, schema, environment] as const))(
    "%s",
    (_, text, schema, environment) => {
      expect(load(text, environment).settings.target.schema).toBe(schema);
    },
  );

  it.each([
    ["constructor", "toString", "hasOwnProperty", "valueOf", "prototype"],
    ["no", "null", "true", "1", "~"],
    ["a.b", "a b", "'", '"', "\\", "\n", "\u202e", "\u{1F600}", "-", "?", "#", "&a", "*b", "!c", "%d", "@e", "`f"],
  ])("tables of any name (%s, ...)", (...names) => {
    const tables = names.map((name) => `  ${JSON.stringify(name)}: {}`).join("\n");
    expect([...load(`${least}tables:\n${tables}\n`).settings.tables.keys()].sort()).toEqual([...names].sort());
  });

  it.each([
    ["9007199254740991", "9007199254740991"],
    ["-0.5", "-0.5"],
    ["0.1", "0.1"],
    ["1e3", "1000"],
    ["0x1f", "31"],
    ["0x0", "0"],
    ["0.0", "0"],
    [".inf", "Infinity"],
    [".nan", "NaN"],
    ['"12345678901234567890"', "12345678901234567890"],
    ["1.10", "1.1"],
    ["true", "true"],
    ["[1, 2.5, a]", '[1,2.5,"a"]'],
  ])("a constant %s", (given, text) => {
    const column = load(constantIs(given)).settings.tables.get("t")?.columns.get("c");
    expect(column).toMatchObject({ kind: "constant", value: text });
  });
});
