/** docker-compose.yml and Dockerfile hold what an operator relies on. Nothing is started: Docker is not part of a test machine. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { loadSettings } from "../../cli/settings/load-settings.js";

interface Service {
  readonly image?: string;
  readonly build?: string;
  readonly ports?: readonly string[];
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly depends_on?: Readonly<Record<string, { readonly condition?: string }>>;
  readonly user?: string;
  readonly read_only?: boolean;
  readonly volumes?: readonly string[];
}
const compose = parse(readFileSync("docker-compose.yml", "utf8")) as {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
};
const services = Object.entries(compose.services);

describe("docker-compose.yml", () => {
  it("brings Kafka, a registry, PostgreSQL and our services", () => {
    expect(Object.keys(compose.services).toSorted()).toEqual(["kafka", "postgres", "registry", "tailrace"]);
    expect(compose.services["tailrace"]?.build).toBe(".");
  });

  it("pins every image", () => {
    for (const [, { image }] of services) expect(image).toMatch(/^[a-z0-9./-]+:\d+\.\d+[\w.-]*$/);
  });

  it("publishes ports on 127.0.0.1 only", () => {
    for (const port of services.flatMap(([, { ports }]) => ports ?? [])) expect(port).toMatch(/^127\.0\.0\.1:\d+:\d+$/);
  });

  it("starts each service only when what it needs is healthy", () => {
    for (const [, service] of services) {
      for (const [needed, { condition }] of Object.entries(service.depends_on ?? {})) {
        expect(condition).toBe("service_healthy");
        expect(compose.services[needed]?.healthcheck, needed).toBeDefined();
      }
    }
    expect(Object.keys(compose.services["tailrace"]?.depends_on ?? {}).toSorted()).toEqual(["kafka", "postgres", "registry"]);
  });

  it("runs PostgreSQL with wal_level=logical and Kafka without topics made by accident", () => {
    expect(compose.services["postgres"]?.command).toContain("wal_level=logical");
    expect(compose.services["kafka"]?.environment?.["KAFKA_AUTO_CREATE_TOPICS_ENABLE"]).toBe("false");
    expect(compose.services["kafka"]?.environment?.["KAFKA_PROCESS_ROLES"]).toBe("broker,controller");
  });

  it("declares every named volume", () => {
    const named = services.flatMap(([, { volumes }]) => volumes ?? []).map((volume) => volume.split(":")[0] ?? "");
    for (const name of named.filter((part) => /^[a-z]+$/.test(part))) expect(Object.keys(compose.volumes)).toContain(name);
  });

  it("gives our services settings that are taken", () => {
    const { settings } = loadSettings("deploy/compose/tailrace.yaml", { TAILRACE_TARGET_URL: "postgresql://a:b@postgres/shop" });
    expect(settings.log).toMatchObject({ kind: "kafka", brokers: ["kafka:29092"] });
    expect(settings.source.path).toBe("/data/shop.db");
  });
});

describe("Dockerfile", () => {
  const lines = readFileSync("Dockerfile", "utf8").replaceAll("\\\n", " ").split("\n");
  const stages = lines.filter((line) => line.startsWith("FROM "));

  it("builds in one stage and ships another, both on the same pinned Debian", () => {
    expect(stages).toHaveLength(2);
    for (const stage of stages) expect(stage).toMatch(/^FROM node:20\.\d+\.\d+-bookworm-slim/);
  });

  it("runs as a user that is not root, in exec form, with a health check that asks no other program", () => {
    expect(lines.findLast((line) => line.startsWith("USER "))).toBe("USER 65532:65532");
    expect(lines.find((line) => line.startsWith("ENTRYPOINT "))).toMatch(/^ENTRYPOINT \["node"/);
    expect(lines.find((line) => line.startsWith("HEALTHCHECK "))).toContain('CMD ["node"');
  });

  it("copies only folders that exist and that .dockerignore lets through", () => {
    const allowed = readFileSync(".dockerignore", "utf8")
      .split("\n")
      .filter((line) => line.startsWith("!"))
      .map((line) => line.slice(1));
    const copied = lines.filter((line) => /^COPY (?!--from)/.test(line)).flatMap((line) => line.split(/\s+/).slice(1, -1));
    for (const name of copied) expect(allowed).toContain(name);
  });
});
