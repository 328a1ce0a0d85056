/** What a network can do between the sink and PostgreSQL. The same between the services and the broker: kafka-faults.ts. */
import { TcpProxy } from "../../support/tcp-proxy.js";
import { until } from "../../support/oracles/until.js";
import { postgresServerUrl } from "../../support/postgres.js";
import type { FaultArea, FaultCase, FaultGround } from "./fault-case.js";
import { Ground, livenessMs } from "./ground.js";
import { whileWaiting } from "./waiting.js";

class NetworkGround implements FaultGround {
  static async make(): Promise<NetworkGround> {
    const { hostname, port } = new URL(await postgresServerUrl());
    const proxy = new TcpProxy({ host: hostname, port: Number(port) });
    await proxy.up();
    const targetUrl = (direct: string): string => {
      const url = new URL(direct);
      url.port = String(proxy.port);
      url.hostname = "127.0.0.1";
      return url.href;
    };
    return new NetworkGround(await Ground.make({ targetUrl }), proxy);
  }

  private constructor(
    readonly ground: Ground,
    readonly proxy: TcpProxy,
  ) {}

  async [Symbol.asyncDispose](): Promise<void> {
    this.proxy.toxic = { kind: "clear" };
    await this.ground[Symbol.asyncDispose]();
    await this.proxy[Symbol.asyncDispose]();
  }
}

/** What the network is like while the application writes; the same connections and new ones. */
async function through({ ground, proxy }: NetworkGround, toxic: TcpProxy["toxic"], transactions: number): Promise<void> {
  proxy.toxic = toxic;
  await ground.write(transactions);
  await ground.caughtUp();
  proxy.toxic = { kind: "clear" };
}

/** A way that carries nothing, or only one way, until the sink has said so; then it carries again, as ways do. */
function silence(fault: string, from: "client" | "server" | "both", existing: boolean): FaultCase<NetworkGround> {
  return {
    fault,
    does: "the sink gives the connections up within seconds, waits without haste and goes on",
    codes: ["target.unavailable", "target.undecided"],
    run: async ({ ground, proxy }) => {
      await whileWaiting(ground, proxy, async () => {
        proxy.toxic = { kind: "silent", from };
        if (!existing) proxy.reset();
        await ground.write(10);
        await ground.says("sink", "target.unavailable", "target.undecided");
      });
      proxy.toxic = { kind: "clear" };
    },
  };
}

const cases: readonly FaultCase<NetworkGround>[] = [
  {
    fault: "500 ms of latency with jitter to PostgreSQL",
    does: "everything arrives later",
    codes: [],
    run: (on) => through(on, { kind: "late", ms: 500, jitterMs: 200 }, 10),
  },
  {
    fault: "What is sent to and from PostgreSQL arrives in pieces of 7 bytes",
    does: "everything arrives",
    codes: [],
    run: (on) => through(on, { kind: "sliced", bytes: 7 }, 10),
  },
  {
    fault: "Connections to PostgreSQL are reset after 20 kB, again and again",
    does: "each session gets a little further",
    codes: ["target.unavailable", "target.undecided"],
    run: async ({ ground, proxy }) => {
      proxy.toxic = { kind: "resets", afterBytes: 20_000 };
      await ground.write(60);
      await ground.says("sink", "target.unavailable", "target.undecided");
      proxy.toxic = { kind: "clear" };
    },
  },
  {
    fault: "The network to PostgreSQL is away and connections are refused",
    does: "the sink waits without haste and goes on",
    codes: ["target.unavailable", "target.undecided"],
    run: async ({ ground, proxy }) => {
      await whileWaiting(ground, proxy, async () => {
        await proxy.down();
        await ground.write(10);
        await ground.says("sink", "target.unavailable", "target.undecided");
        await until(
          () => ground.times("target.unavailable") >= 3,
          livenessMs(),
          () => `the sink does not try again\n${ground.describe()}`,
        );
      });
      await proxy.up();
    },
  },
  silence("PostgreSQL accepts connections and never answers", "both", false),
  silence("Open connections to PostgreSQL carry nothing any more, in either direction", "both", true),
  silence("What PostgreSQL answers is lost, what it is sent arrives", "server", true),
  silence("What is sent to PostgreSQL is lost, what it answers arrives", "client", true),
  {
    fault: "Of the sink's connections only those that carry windows carry nothing any more",
    does: "the server says that it has answered, and the sink gives them up",
    codes: ["target.unavailable", "target.undecided"],
    run: async ({ ground, proxy }) => {
      // The lock's beat moves bytes twice a second; while nothing is written, the others are quiet.
      await until(
        () => proxy.deafenQuiet(2_000, 2),
        livenessMs(),
        () => "there are no two quiet connections",
      );
      await ground.write(10);
      await ground.says("sink", "target.unavailable", "target.undecided");
    },
  },
];

export const networkFaults: FaultArea<NetworkGround> = {
  title: "Network to PostgreSQL",
  test: "test/fault/matrix/network.test.ts",
  cases,
  make: () => NetworkGround.make(),
};
