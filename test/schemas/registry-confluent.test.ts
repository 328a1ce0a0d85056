import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Clock } from "../../core/clock.js";
import { Secret } from "../../core/secret.js";
import type { RegistrySettings } from "../../core/settings.js";
import { describeError } from "../../core/errors.js";
import type { Change } from "../../core/contracts/change.js";
import { writerEpoch } from "../../core/vocabulary/ids.js";
import { position } from "../../core/vocabulary/position.js";
import { createDecoder } from "../../schemas/decoder.js";
import { createEncoder } from "../../schemas/encoder.js";
import { confluentRegistry } from "../../schemas/registry/confluent.js";
import { fault, RegistryServer } from "../support/registry.js";
import { column, decodedWhole, never, recordsOf, stillClock, stored, table } from "./support.js";

const schemaText = (name: string): string => JSON.stringify({ type: "record", name, fields: [{ name: "id", type: "long" }] });
const settingsFor = (url: string, auth: RegistrySettings["auth"] = null): RegistrySettings => ({ url, auth, ca: null });
const real = process.env.TAILRACE_TEST_REGISTRY;

let server: RegistryServer;
beforeEach(async () => {
  server = await RegistryServer.start();
});
afterEach(async () => {
  await server[Symbol.asyncDispose]();
});

const connect = (auth: RegistrySettings["auth"] = null, options = {}) =>
  confluentRegistry(settingsFor(server.url, auth), { clock: stillClock, ...options });

describe.each([
  ["our own server", () => server.url],
  ...(real === undefined ? [] : [["the server of TAILRACE_TEST_REGISTRY", () => real] as const]),
] as const)("schema registry client against %s", (_, url) => {
  it("registers a schema once, and finds its text by its number", async () => {
    const registry = confluentRegistry(settingsFor(url()));
    const name = `R${randomUUID().replaceAll("-", "")}`;
    const id = await registry.idFor(`${name}-value`, schemaText(name), never);
    expect(await registry.idFor(`${name}-value`, schemaText(name), never)).toBe(id);
    const other = confluentRegistry(settingsFor(url()));
    expect(await other.idFor(`${name}-value`, schemaText(name), never)).toBe(id);
    expect(JSON.parse(await other.schemaById(id, never))).toEqual(JSON.parse(schemaText(name)));
  });

  it("carries changes from an encoder to a decoder", async () => {
    const orders = table(`a table ${randomUUID()}`, [
      column("__proto__", ["integer"]),
      column("any-thing", ["blob", "raw", "real"], { nullable: true }),
    ]);
    const changes = [
      [1n, null],
      [2n, 1.5],
      [3n, { rawText: new Uint8Array([0xff]) }],
    ].map((after, i): Change => ({ kind: "create", at: position(0, i + 1), key: [after[0] ?? null], after }));
    const [writing, reading] = [confluentRegistry(settingsFor(url())), confluentRegistry(settingsFor(url()))];
    const encoder = createEncoder({ prefix: "shop", registry: writing, clock: stillClock });
    const encoded = await encoder.encode(
      { kind: "changes", table: orders, changes },
      { cut: position(0, 3), epoch: writerEpoch(1) },
      never,
    );
    const decoded = await decodedWhole(createDecoder({ registry: reading }), stored(recordsOf(encoded)));
    expect(decoded.map((record) => record?.body)).toEqual(changes.map((change) => ({ kind: "change", table: orders, change })));
  });

  it("says when a number is unknown", async () => {
    const registry = confluentRegistry(settingsFor(url()));
    await expect(registry.schemaById(2_000_000_001, never)).rejects.toMatchObject({
      code: "registry.unknown-schema",
      where: { schema: 2_000_000_001 },
    });
  });

  it("passes on the registry's words when it refuses a schema", async () => {
    const registry = confluentRegistry(settingsFor(url()));
    const refused = await registry.idFor(`bad-${randomUUID()}-value`, '{"type":"nothing"}', never).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: "registry.refused" });
    expect(String(refused)).toMatch(/HTTP 422 \(42201\): ./);
  });
});

describe("schema registry client over TLS", () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "tailrace-registry-"));
  });
  afterEach(() => {
    rmSync(directory, { recursive: true });
  });

  it("trusts the CA it was given, and nobody without one", async () => {
    const [key, cert] = ["key.pem", "cert.pem"].map((name) => join(directory, name)) as [string, string];
    const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-days", "2"];
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    execFileSync("openssl", ["req", "-x509", ...curve, "-keyout", key, "-out", cert, ...subject], { stdio: "ignore" });
    const ca = readFileSync(cert, "utf8");
    await using secure = await RegistryServer.start({ key: readFileSync(key, "utf8"), cert: ca });
    const open = (trusted: string | null) => confluentRegistry({ url: secure.url, auth: null, ca: trusted }, { clock: stillClock });
    expect(await open(ca).idFor("a-value", schemaText("A"), never)).toBe(1);
    const refused = await open(null).schemaById(1, never).catch(describeError);
    expect(refused).toMatch(/self-signed certificate.*\[registry\.unavailable\]/);
  });
});

describe("schema registry client", () => {
  it("asks once for all who ask at the same time, and never again", async () => {
    const registry = connect();
    const ids = await Promise.all(
      Array.from({ length: 20 }, () => registry.idFor("a-value", schemaText("A"), new AbortController().signal)),
    );
    expect(new Set(ids).size).toBe(1);
    const texts = await Promise.all(Array.from({ length: 20 }, () => registry.schemaById(ids[0] ?? 0, new AbortController().signal)));
    expect(new Set(texts).size).toBe(1);
    expect(server.requests).toEqual(["POST /subjects/a-value/versions", "GET /schemas/ids/1"]);
  });

  it("goes on with what it knows while the registry is down", async () => {
    const registry = connect();
    const id = await registry.idFor("a-value", schemaText("A"), never);
    const text = await registry.schemaById(id, never);
    server.intercept = () => fault(503, 50003, "down");
    expect(await registry.idFor("a-value", schemaText("A"), never)).toBe(id);
    expect(await registry.schemaById(id, never)).toBe(text);
    await expect(registry.idFor("b-value", schemaText("B"), never)).rejects.toMatchObject({
      code: "registry.unavailable",
      verdict: "retry",
    });
  });

  it.each([500, 502, 503, 429, 408])("tries again after HTTP %i", async (status) => {
    let failures = 2;
    server.intercept = () => (failures-- > 0 ? fault(status, status, "later") : null);
    expect(await connect().idFor("a-value", schemaText("A"), never)).toBe(1);
    expect(server.requests.length).toBe(3);
  });

  it("asks again after a failure, also for a number that was unknown", async () => {
    const registry = connect();
    await expect(registry.schemaById(1, never)).rejects.toMatchObject({ code: "registry.unknown-schema" });
    await connect().idFor("a-value", schemaText("A"), never);
    expect(await registry.schemaById(1, never)).toBe(schemaText("A"));
  });

  it.each([
    [409, 409, "Schema being registered is incompatible with an earlier schema"],
    [401, 40101, "Unauthorized"],
    [403, 40301, "Forbidden"],
    [404, 40401, "Subject not found"],
  ])("takes HTTP %i for the last word and passes it on", async (status, code, words) => {
    server.intercept = () => fault(status, code, words);
    await expect(connect().idFor("a-value", schemaText("A"), never)).rejects.toMatchObject({
      code: "registry.refused",
      verdict: "stop",
      message: `the registry refuses: HTTP ${status} (${code}): ${words}`,
    });
    expect(server.requests.length).toBe(1);
  });

  it.each([
    ["basic", { username: "ann", password: new Secret("p:w") }, `Basic ${Buffer.from("ann:p:w").toString("base64")}`],
    ["bearer", { token: new Secret("tok") }, "Bearer tok"],
  ] as const)("sends %s credentials, and never prints them", async (_, auth, header) => {
    server.authorization = header;
    expect(await connect(auth).idFor("a-value", schemaText("A"), never)).toBe(1);
    server.authorization = "something else";
    const refused = await connect(auth).idFor("b-value", schemaText("B"), never).catch(describeError);
    expect(refused).toContain("401");
    expect(refused).not.toMatch(/tok|p:w|ann/);
  });

  it("takes credentials out of the URL", async () => {
    server.authorization = `Basic ${Buffer.from("ann:s3cret").toString("base64")}`;
    const registry = confluentRegistry(settingsFor(server.url.replace("//", "//ann:s3cret@")), { clock: stillClock });
    expect(await registry.idFor("a-value", schemaText("A"), never)).toBe(1);
    server.intercept = () => fault(500, 500, "down");
    const failed = await registry.idFor("b-value", schemaText("B"), never).catch(describeError);
    expect(failed).not.toMatch(/ann|s3cret/);
  });

  it("follows no redirect", async () => {
    await using elsewhere = await RegistryServer.start();
    const location = `${elsewhere.url}/subjects/a-value/versions?token=secret`;
    server.intercept = () => ({ status: 307, body: "", headers: { location } });
    await expect(connect().idFor("a-value", schemaText("A"), never)).rejects.toMatchObject({
      code: "registry.refused",
      message: `the registry refuses: it sends us to ${elsewhere.url}, and redirects are not followed`,
    });
    expect(elsewhere.requests).toEqual([]);
  });

  it("keeps a path in the base URL", async () => {
    server.intercept = ({ path }) => (path === "/apis/ccompat/v7/schemas/ids/5" ? { status: 200, body: '{"schema":"\\"long\\""}' } : null);
    const registry = confluentRegistry(settingsFor(`${server.url}/apis/ccompat/v7/`), { clock: stillClock });
    expect(await registry.schemaById(5, never)).toBe('"long"');
  });

  it("escapes a subject's name", async () => {
    await connect().idFor("shop.a/../b?c-value", schemaText("A"), never);
    expect(server.requests).toEqual(["POST /subjects/shop.a%2F..%2Fb%3Fc-value/versions"]);
  });

  it.each([
    ["a page in HTML", { status: 200, body: "<html>login</html>" }],
    ["a number that fits no frame", { status: 200, body: '{"id":4294967296}' }],
    ["no number", { status: 200, body: '{"id":"1"}' }],
    ["an answer without end", { status: 200, body: `{"id":1,"x":"${"x".repeat(17 * 1024 * 1024)}"}` }],
  ])("refuses %s", async (_, answer) => {
    server.intercept = () => answer;
    await expect(connect().idFor("a-value", schemaText("A"), never)).rejects.toMatchObject({ code: "registry.refused" });
  });

  it("refuses a schema that is not Avro", async () => {
    server.intercept = () => ({ status: 200, body: '{"schema":"syntax = \\"proto3\\";","schemaType":"PROTOBUF"}' });
    await expect(connect().schemaById(1, never)).rejects.toMatchObject({ code: "registry.refused" });
  });

  it("gives up on a registry that does not answer, as one that may answer later", async () => {
    server.intercept = () => "hang";
    // What it does between two tries is counted: a server that has much to do may hear of one after it was given up.
    let delays = 0;
    const clock: Clock = { ...stillClock, delay: async () => void delays++ };
    await expect(connect(null, { timeoutMs: 50, tries: 2, clock }).schemaById(1, never)).rejects.toMatchObject({
      code: "registry.unavailable",
    });
    expect(delays).toBe(1);
  });

  it("says so when nobody listens", async () => {
    const { url } = server;
    await server[Symbol.asyncDispose]();
    await expect(confluentRegistry(settingsFor(url), { clock: stillClock }).schemaById(1, never)).rejects.toMatchObject({
      code: "registry.unavailable",
    });
    server = await RegistryServer.start();
  });

  it("stops asking when the last who waits has gone, and starts afresh for the next", async () => {
    server.intercept = () => "hang";
    const registry = connect();
    const stop = new AbortController();
    const asked = registry.schemaById(1, stop.signal);
    const both = [asked, registry.schemaById(1, stop.signal)].map((promise) => promise.catch((error: Error) => error.name));
    stop.abort();
    expect(await Promise.all(both)).toEqual(["AbortError", "AbortError"]);
    server.intercept = () => null;
    await expect(registry.schemaById(1, never)).rejects.toMatchObject({ code: "registry.unknown-schema" });
  });
});
