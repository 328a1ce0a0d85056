import { describe, expect, it } from "vitest";
import { parseConnectionUrl } from "../../../connectors/postgres/connection-url.js";

describe("target.url", () => {
  it("is taken apart, percent-encoding included", () => {
    expect(parseConnectionUrl("postgresql://us%40er:p%2Fw@db.example:6543/my%20db?sslmode=disable&connect_timeout=3")).toMatchObject({
      user: "us@er",
      password: "p/w",
      host: "db.example",
      port: 6543,
      database: "my db",
      ssl: false,
      connectTimeoutMs: 3_000,
    });
    expect(parseConnectionUrl("postgres://me@[::1]/")).toMatchObject({ host: "::1", port: 5432, database: "me", password: undefined });
    expect(parseConnectionUrl("postgres://me@/shop?host=/var/run/postgresql")).toMatchObject({ host: "/var/run/postgresql", ssl: false });
  });

  it.each([
    ["postgres://u:p@localhost/d", false],
    ["postgres://u:p@127.0.0.9/d", false],
    ["postgres://u:p@[::1]/d", false],
    ["postgres://u:p@db.example/d", "full"],
    ["postgres://u:p@10.0.0.1/d", "full"],
    ["postgres://u:p@127.0.0.1.example/d", "full"],
    ["postgres://u:p@localhost/d?sslmode=require", "full"],
    ["postgres://u:p@db.example/d?sslmode=require", "full"],
    ["postgres://u:p@db.example/d?sslmode=verify-full", "full"],
    ["postgres://u:p@db.example/d?sslmode=verify-ca", "ca"],
    ["postgres://u:p@db.example/d?sslmode=disable", false],
  ] as const)("%s means TLS: %s", (url, expected) => {
    const { ssl } = parseConnectionUrl(url);
    if (expected === false || ssl === false) return expect(ssl).toBe(expected);
    expect(ssl.rejectUnauthorized).toBe(true);
    const stranger = { subject: { CN: "elsewhere" }, subjectaltname: "DNS:elsewhere" } as Parameters<
      NonNullable<typeof ssl.checkServerIdentity>
    >[1];
    const verdict = ssl.checkServerIdentity?.("elsewhere", stranger);
    expect(verdict instanceof Error).toBe(expected === "full");
  });

  it.each(["allow", "prefer", "no-verify", "", "VERIFY-FULL"])("refuses sslmode=%s", (mode) => {
    expect(() => parseConnectionUrl(`postgres://u:secret@db.example/d?sslmode=${mode}`)).toThrow(
      expect.objectContaining({ code: "target.tls" }) as Error,
    );
  });

  it.each([
    ["postgres://u:secret@h/d?sslmod=disable", "settings.refused"],
    ["postgres://u:secret@h/d?options=-c%20x", "settings.refused"],
    ["mysql://u:secret@h/d", "settings.refused"],
    ["postgres://u:sec ret#@h:port/d", "settings.refused"],
    ["postgres://h/d", "settings.refused"],
    ["postgres://u:secret@h/d?sslrootcert=/not/there.pem", "target.tls"],
  ])("refuses %s, and does not repeat the password", (url, code) => {
    let thrown: unknown;
    try {
      parseConnectionUrl(url);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code });
    expect(String(thrown)).not.toContain("secret");
  });
});
