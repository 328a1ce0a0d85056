import { execFileSync, spawnSync } from "node:child_process";
import { chownSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connectTarget } from "../../../connectors/postgres/connect.js";
import { type EmbeddedPostgres, removeEmbeddedPostgres, startEmbeddedPostgres } from "../../../connectors/postgres/embedded.js";
import { pipelineId } from "../../../core/vocabulary/ids.js";

const hasOpenssl = spawnSync("openssl", ["version"]).status === 0;

// Skipped where the program is missing: certificates are made on the spot, so that none in the repository can expire.
describe.skipIf(!hasOpenssl)("TLS to PostgreSQL (needs the program openssl)", () => {
  let directory: string;
  let server: EmbeddedPostgres;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "tailrace-tls-"));
    execFileSync("chmod", ["755", directory]);
    const file = (name: string): string => join(directory, name);
    const openssl = (...args: string[]): unknown => execFileSync("openssl", args, { stdio: "pipe", cwd: directory });
    for (const ca of ["ca", "other-ca"]) {
      openssl(
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        `${ca}.key`,
        "-out",
        `${ca}.pem`,
        "-days",
        "2",
        "-subj",
        `/CN=${ca}`,
      );
    }
    openssl(
      "req",
      "-newkey",
      "rsa:2048",
      "-nodes",
      "-keyout",
      "server.key",
      "-out",
      "server.csr",
      "-subj",
      "/CN=db.example",
      "-addext",
      "subjectAltName=DNS:localhost",
    );
    openssl(
      "x509",
      "-req",
      "-in",
      "server.csr",
      "-CA",
      "ca.pem",
      "-CAkey",
      "ca.key",
      "-out",
      "server.pem",
      "-days",
      "2",
      "-copy_extensions",
      "copy",
    );
    if (process.getuid?.() === 0) chownSync(file("server.key"), 65534, 65534);
    server = await startEmbeddedPostgres({
      directory: file("pg"),
      settings: { ssl: "on", ssl_cert_file: file("server.pem"), ssl_key_file: file("server.key"), fsync: "off" },
    });
  });
  afterAll(async () => {
    await server.stop();
    await removeEmbeddedPostgres(join(directory, "pg"));
    await rm(directory, { recursive: true, force: true });
  });

  const open = async (host: string, query: string): Promise<string> => {
    const url = new URL(server.url.reveal());
    url.hostname = host;
    try {
      await connectTarget(
        { url: `${url.href}?${query.replaceAll("DIR", directory)}`, pipeline: pipelineId("p") },
        new AbortController().signal,
      );
      return "connected";
    } catch (thrown) {
      return (thrown as { code: string }).code;
    }
  };

  it.each([
    ["localhost", "sslmode=verify-full&sslrootcert=DIR/ca.pem", "connected"],
    ["localhost", "sslmode=require&sslrootcert=DIR/ca.pem", "connected"],
    // The certificate names localhost only.
    ["127.0.0.1", "sslmode=verify-full&sslrootcert=DIR/ca.pem", "target.tls"],
    ["127.0.0.1", "sslmode=verify-ca&sslrootcert=DIR/ca.pem", "connected"],
    ["localhost", "sslmode=verify-full&sslrootcert=DIR/other-ca.pem", "target.tls"],
    ["localhost", "sslmode=verify-ca&sslrootcert=DIR/other-ca.pem", "target.tls"],
    ["localhost", "sslmode=require", "target.tls"],
    ["127.0.0.1", "sslmode=disable", "connected"],
  ])("to %s with %s: %s", async (host, query, expected) => {
    expect(await open(host, query)).toBe(expected);
  });
});
