/** Settings: what is taken, what is refused, and that every fault is said at once with path and line. */
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import fc from "fast-check";
import { SettingsRefused } from "../../cli/settings/faults.js";
import { effectiveSettings } from "../../cli/settings/effective.js";
import { type LoadedSettings, loadSettings } from "../../cli/settings/load-settings.js";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "tailrace-settings-"));
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

const least = "pipeline: shop\nsource: { kind: sqlite, path: ./shop.db }\n";

function load(text: string | Uint8Array, environment: Record<string, string> = {}): LoadedSettings {
  const file = join(directory, "tailrace.yaml");
  writeFileSync(file, text);
  return loadSettings(file, environment);
}

function faultsOf(text: string | Uint8Array, environment: Record<string, string> = {}): string[] {
  try {
    load(text, environment);
  } catch (thrown) {
    if (thrown instanceof SettingsRefused) return thrown.faults.map((f) => `${f.line ?? "-"} ${f.path} ${f.what}`);
    throw thrown;
  }
  throw new Error("nothing was refused");
}

describe("settings that are taken", () => {
  it("of a DuckDB source have a default but for its path", () => {
    const { settings } = load("pipeline: a\nsource: { kind: duckdb, path: x.duckdb }\ntables: { t: { key: [a, b] } }\n");
    expect(settings.source).toEqual({
      kind: "duckdb",
      path: join(directory, "x.duckdb"),
      memoryMb: 512,
      pollMs: 100,
      copyMbPerSecond: null,
    });
    expect(settings.tables.get("t")?.key).toEqual(["a", "b"]);
  });

  it("need a pipeline and a source, and everything else has a default", () => {
    const { settings } = load(least);
    expect(settings).toMatchObject({
      pipeline: "shop",
      prefix: "shop",
      stateDirectory: join(directory, ".tailrace"),
      source: { kind: "sqlite", path: join(directory, "shop.db"), log: { retain: "applied", maxBytes: 1 << 30 } },
      log: { kind: "embedded", path: join(directory, ".tailrace", "log.db") },
      target: { url: null, schema: "public" },
      onlyListedTables: false,
      http: { host: "127.0.0.1", port: 8731 },
    });
  });

  it("hold every setting of the documented example", () => {
    writeFileSync(join(directory, "ca.pem"), "-----BEGIN CERTIFICATE-----\n");
    writeFileSync(join(directory, "password"), "p:a's\nb\n");
    const { settings } = load(
      `${least}log:
  kind: kafka
  brokers: [127.0.0.1:9092, "[::1]:9093"]
  tls: { ca: ca.pem }
  sasl: { mechanism: scram-sha-512, username: u, password: "\${file:password}" }
  partitions: 1
  replicationFactor: 3
  compression: none
  registry: { url: "https://registry:8081", auth: { token: t }, ca: ca.pem }
target: { url: "\${TARGET}", schema: sales }
tables:
  customers:
  orders:
    to: sales.orders
    columns:
      placed: { to: placed_at, type: timestamptz, from: epoch-ms }
      legacy: { drop: true }
      origin: { constant: "expenses-v1" }
      loaded: { constant: run-start, type: timestamptz }
      weights: { constant: [1, 2.5] }
      nothing: { constant: null }
errors: { tolerance: none }
snapshot: { format: chunks }
http: { listen: "[::1]:9000" }
`,
      { TARGET: "postgres://u:p%40@db/shop" },
    );
    expect(settings.onlyListedTables).toBe(true);
    expect(settings.http).toEqual({ host: "::1", port: 9000 });
    expect(settings.target.url?.reveal()).toBe("postgres://u:p%40@db/shop");
    if (settings.log.kind !== "kafka") throw new Error("kafka was asked for");
    expect(settings.log.sasl?.password.reveal()).toBe("p:a's\nb");
    expect(settings.log.tls).toMatchObject({ ca: "-----BEGIN CERTIFICATE-----\n", verify: true });
    expect([...settings.tables.keys()]).toEqual(["customers", "orders"]);
    expect([...(settings.tables.get("orders")?.columns ?? [])]).toEqual([
      ["placed", { kind: "map", to: "placed_at", type: "timestamptz", from: "epoch-ms" }],
      ["legacy", { kind: "drop" }],
      ["origin", { kind: "constant", value: "expenses-v1", type: null }],
      ["loaded", { kind: "constant", value: { runStart: true }, type: "timestamptz" }],
      ["weights", { kind: "constant", value: "[1,2.5]", type: null }],
      ["nothing", { kind: "constant", value: null, type: null }],
    ]);
  });

  it.each([
    ["512MiB", 512 * 2 ** 20],
    ["1.5 GB", 1.5e9],
    ["0", 0],
    ["7b", 7],
    [4096, 4096],
  ])("read %s as a size in bytes", (given, maxBytes) => {
    const { settings } = load(`pipeline: shop\nsource: { kind: sqlite, path: s, log: { retain: acknowledged, maxBytes: ${given} } }\n`);
    expect(settings.source).toMatchObject({ log: { retain: "acknowledged", maxBytes } });
  });

  it("read `no` as text and an expanded value never as YAML", () => {
    const { settings } = load(`${least}target: { schema: "\${S}" }\ntables: { no: {} }\n`, { S: "{a: [*x" });
    expect(settings.target.schema).toBe("{a: [*x");
    expect([...settings.tables.keys()]).toEqual(["no"]);
  });

  it("keep `${` itself when it is written `$${`", () => {
    expect(load(`${least}target: { schema: "a$\${B}c" }\n`).settings.target.schema).toBe("a${B}c");
  });
});

describe("settings that are refused", () => {
  it("list every fault at once, with line, path and the nearest known key", () => {
    const faults = faultsOf(`pipeline: Shop
sourc: { kind: sqlite }
target: { url: "\${NOPE}", adminUrl: x, scheme: a }
log:
  kind: kafka
  brokers: [nowhere]
  tls: { vrify: 3 }
tables:
  orders:
    where: x
    columns:
      a: { from: epoch }
      b: { drop: true, to: c }
http: { listen: "0.0.0.0:80" }
`);
    expect(faults).toEqual([
      "- source is missing",
      "1 pipeline must begin with a-z and hold only a-z, 0-9, _ and - (at most 63 characters)",
      "2 sourc is not a setting; did you mean 'source'?",
      "3 target.adminUrl is reserved: it comes with least-privilege roles; leave it out",
      "3 target.scheme is not a setting; did you mean 'schema'?",
      "3 target.url needs the environment variable NOPE, which is not set",
      "6 log.brokers[0] must be host:port",
      "7 log.tls.vrify is not a setting; did you mean 'verify'?",
      "10 tables.orders.where is reserved: it comes with filters; leave it out",
      "12 tables.orders.columns.a.from must be one of epoch-s, epoch-ms, epoch-us, iso, julian-day",
      "13 tables.orders.columns.b says `drop` and something else; a dropped column has nothing else",
      "14 http.listen must be a loopback address (127.0.0.1, ::1, localhost): others come with `http.token`",
    ]);
  });

  it.each([
    ["a duplicate key", `${least}pipeline: other\n`, /^3 .*is not YAML/],
    ["a tab", `${least}target:\n\tschema: x\n`, /^4 .*is not YAML/],
    ["a byte order mark", `\uFEFF${least}`, /^1 .*byte order mark/],
    ["an empty file", "", /^1 .*(is empty|must be a map)/],
    ["a list", "- a\n", /^1 .*must be a map/],
    ["a second document", `${least}---\n${least}`, /^\d .*second document/],
    ["an alias that is not defined", `${least}target: *x\n`, /is not YAML|alias/],
    ["an anchor that refers to itself", `${least}tables: &a { b: *a }\n`, /refers to itself|alias/],
    [
      "a whole number that would be rounded",
      `${least}tables: { a: { columns: { b: { constant: 12345678901234567890 } } } }\n`,
      /would be rounded/,
    ],
    ["the name __proto__", `${least}tables: { __proto__: {} }\n`, /cannot be used as a name/],
    ["an open ${", `${least}target: { schema: "\${A" }\n`, /without `}`/],
    ["a variable with an odd name", `${least}target: { schema: "\${a b}" }\n`, /neither a variable/],
    ["a secret file that is a directory", `${least}target: { schema: "\${file:/}" }\n`, /not an ordinary file/],
    ["a reserved value", `${least}errors: { tolerance: quarantine }\n`, /^3 errors.tolerance only 'none' for now; quarantine comes with/],
    ["a setting of DuckDB for SQLite", `${least.replace(" }", ", memoryMb: 300 }")}`, /source.memoryMb is for sources of kind duckdb/],
    ["a declared key for SQLite", `${least}tables: { t: { key: [a] } }\n`, /reserved: it comes with chosen keys/],
    ["several partitions", `${least}log: { kind: kafka, brokers: ["a:1"], partitions: 4 }\n`, /several partitions come/],
    [
      "a plain password to a far host",
      `${least}log: { kind: kafka, brokers: ["far:1"], sasl: { mechanism: plain, username: u, password: p } }\n`,
      /password in clear/,
    ],
    ["a kind of log that is not known", `${least}log: { kind: redis }\n`, /kafka or embedded/],
    [
      "a size that is none",
      "pipeline: a\nsource: { kind: sqlite, path: x, log: { maxBytes: many } }\n",
      /^2 source.log.maxBytes must be a size/,
    ],
    [
      "a negative size",
      "pipeline: a\nsource: { kind: sqlite, path: x, log: { maxBytes: -1 } }\n",
      /source.log.maxBytes must not be negative/,
    ],
    ["a size in no unit", "pipeline: a\nsource: { kind: sqlite, path: x, log: { maxBytes: 3 PiB } }\n", /must be a size/],
    ["half a byte too many", "pipeline: a\nsource: { kind: sqlite, path: x, log: { maxBytes: 1.5 } }\n", /maxBytes must be a size/],
    [
      "a choice that is none",
      "pipeline: a\nsource: { kind: sqlite, path: x, log: { retain: all } }\n",
      /retain must be one of applied, ack/,
    ],
    ["a URL of another database", `${least}target: { url: "mysql://x" }\n`, /must begin with postgres/],
    ["a block that is a word", `${least}target: yes\n`, /^3 target/],
  ])("name the line of %s", (_, text, expected) => {
    expect(faultsOf(text).join("\n")).toMatch(expected);
  });

  it("refuse an alias bomb and a huge file before they cost memory", () => {
    const bomb = Array.from({ length: 9 }, (_, i) => `x${i + 1}: &x${i + 1} [${Array(9).fill(`*x${i}`).join(", ")}]`).join("\n");
    expect(faultsOf(`x0: &x0 [lol]\n${bomb}\n`).join()).toMatch(/too many aliases/);
    expect(faultsOf(`# ${"x".repeat(2 * 1024 * 1024)}\n`).join()).toMatch(/larger than 1024 KiB/);
  });

  it("refuse a variable that is empty, a file that is missing, and a file that is not UTF-8", () => {
    expect(faultsOf(`${least}target: { schema: "\${E}" }\n`, { E: "" })).toEqual([
      "3 target.schema needs the environment variable E, which is empty",
    ]);
    expect(faultsOf(`${least}target: { schema: "\${file:gone}" }\n`).join()).toMatch(/gone, which does not exist/);
    expect(faultsOf(Buffer.from([0x61, 0xff, 0xfe])).join()).toMatch(/not UTF-8/);
  });

  it("refuse a directory and a device as settings file", () => {
    mkdirSync(join(directory, "d"));
    expect(() => loadSettings(join(directory, "d"), {})).toThrow(/not an ordinary file/);
    expect(() => loadSettings("/dev/zero", {})).toThrow(/not an ordinary file/);
    expect(() => loadSettings(join(directory, "none.yaml"), {})).toThrow(/does not exist/);
  });

  it("never end in anything but settings or a list of faults, whatever the bytes", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.string().map((s) => `${least}${s}`),
        ),
        (text) => {
          try {
            load(text);
          } catch (thrown) {
            expect(thrown).toBeInstanceOf(SettingsRefused);
          }
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe("secrets", () => {
  const canary = "canary-5c1e";
  const text = `${least}log:
  kind: kafka
  brokers: [127.0.0.1:9092]
  sasl: { mechanism: plain, username: u, password: "\${P}" }
  registry: { url: "http://127.0.0.1:8081", auth: { username: r, password: "\${P}" } }
target: { url: "postgres://u:\${P}@db:5432/shop?password=\${P}" }
`;

  it("are masked wherever the settings are printed", () => {
    const loaded = load(text, { P: canary });
    const rows = effectiveSettings(loaded);
    const printed = [
      JSON.stringify(rows),
      JSON.stringify(loaded.settings),
      inspect(loaded.settings, { depth: 10 }),
      String(loaded.settings.target.url),
    ];
    expect(printed.join("\n")).not.toContain(canary);
    expect(rows.find(({ setting }) => setting === "target.url")).toEqual({
      setting: "target.url",
      value: "postgres://***@db:5432/shop",
      from: "line 8, ${P}, ${P}",
    });
  });

  it("are no part of a fault", () => {
    const faults = faultsOf(`${text.replace("postgres://", "mysql://")}nope: 1\n`, { P: canary });
    expect(faults.join("\n")).not.toContain(canary);
  });
});
