/**
 * Comparing one table, SQLite with PostgreSQL: `verify run` as an operator calls it, against a script that fetches and compares every row, and against
 * reladiff, which knows no SQLite and compares the target with a copy of itself. `TAILRACE_BENCH_RELADIFF` names its program when it is not on PATH.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { connect as connectSocket, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse, stringify } from "yaml";
import type { Bench } from "./options.js";
import { columns, fillOrders } from "./orders.js";
import { BenchPipeline } from "./pipeline.js";
import { connect, findProgram, openPlace } from "./place.js";
import { memoryMiB, treeCpuUs } from "./process-figures.js";
import { median, rounded, spread, turns } from "./report.js";

interface Figure {
  readonly variant: string;
  readonly round: number;
  readonly seconds: number;
  readonly clientCpuUs: number;
  readonly serverCpuUs: number;
  readonly bytes: number;
  readonly rssMiB: number;
  readonly found: string;
}
type Command = readonly [program: string, ...words: string[]];

export const verify: Bench = async (options) => {
  const rounds = options.count("rounds", 3, 1);
  const rows = options.count("rows", 1_000_000, 100_000);
  await using place = await openPlace([]);
  const file = join(place.folder, "orders.db");
  options.say(`making ${rows} rows`);
  fillOrders(file, rows, false);
  await using pipeline = await BenchPipeline.make(place, { name: "verify", log: "embedded", file });
  await pipeline.run(["source", "sink"], () => pipeline.until("the copy", ({ phase }) => phase === "streaming"));
  await pipeline.client.query("CREATE TABLE public.orders_copy AS TABLE public.orders");
  await pipeline.client.query("ALTER TABLE public.orders_copy ADD PRIMARY KEY (id)");
  await pipeline.client.query("VACUUM ANALYZE");
  await using wire = await CountingWire.to(pipeline.url);
  const { commands, skipped } = await commandsOf(place.folder, file, wire.url, options.only);
  const figures: Figure[] = [];
  for (let round = 1; round <= rounds; round++) {
    for (const [variant, command] of turns([...commands], round)) {
      const figure = await measure({ variant, round, command, wire, postgresPid: place.postgresPid });
      figures.push(figure);
      options.say(`round ${round} of ${rounds}: ${variant} ${rounded(figure.seconds, 1)} s; ${figure.found}`);
    }
  }
  const of = (variant: string): readonly Figure[] => figures.filter((figure) => figure.variant === variant);
  const base = median(of("tailrace").map(({ seconds }) => seconds));
  return {
    setup: [
      `${rows} rows of 8 columns on both sides, all equal; ${rounds} rounds, variants in turn; each is a process of its own, start included`,
      place.postgres,
    ],
    tables: [
      {
        title: "one table compared",
        columns: ["variant", "seconds", "to tailrace", "client us/row", "server us/row", "bytes/row on the wire", "client MiB"],
        rows: [...commands.keys()].map((variant) => {
          const some = of(variant);
          const perRow = (what: "clientCpuUs" | "serverCpuUs" | "bytes"): string => rounded(median(some.map((one) => one[what])) / rows, 2);
          return [
            variant,
            spread(some.map(({ seconds }) => seconds)),
            rounded(median(some.map(({ seconds }) => seconds)) / base, 2),
            perRow("clientCpuUs"),
            perRow("serverCpuUs"),
            perRow("bytes"),
            rounded(Math.max(...some.map(({ rssMiB }) => rssMiB)), 0),
          ];
        }),
      },
    ],
    skipped: [...place.skipped, ...skipped],
    rounds: figures,
  };
};

async function commandsOf(
  folder: string,
  file: string,
  url: string,
  only: readonly string[] | null,
): Promise<{ readonly commands: ReadonlyMap<string, Command>; readonly skipped: readonly string[] }> {
  const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
  const settings = join(folder, "verify", "through-the-wire.yaml");
  const applied = parse(readFileSync(join(folder, "verify", "tailrace.yaml"), "utf8")) as object;
  writeFileSync(settings, stringify({ ...applied, target: { url } }));
  const commands = new Map<string, Command>([
    ["tailrace", [process.execPath, here("../cli/tailrace.js"), "verify", "run", "--json", "-c", settings]],
    ["every row", [process.execPath, here("verify-naive.js"), file, url]],
  ]);
  const reladiff = process.env["TAILRACE_BENCH_RELADIFF"] ?? (await findProgram("reladiff"));
  const compared = columns.slice(1).flatMap((column) => ["-c", column]);
  if (reladiff !== null) commands.set("reladiff", [reladiff, url, "orders", url, "orders_copy", "-k", "id", ...compared, "--stats"]);
  for (const name of commands.keys()) if (only !== null && !only.includes(name)) commands.delete(name);
  return { commands, skipped: reladiff === null ? ["reladiff: not installed (pip install reladiff psycopg2-binary)"] : [] };
}

interface Measuring {
  readonly variant: string;
  readonly round: number;
  readonly command: Command;
  readonly wire: CountingWire;
  readonly postgresPid: number;
}

async function measure({ variant, round, command, wire, postgresPid }: Measuring): Promise<Figure> {
  const [program, ...words] = command;
  const serverBefore = treeCpuUs(postgresPid);
  const bytesBefore = wire.bytes;
  const startedMs = performance.now();
  const child = spawn(program, words, { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text: string) => (said += text));
  const seen = { rssMiB: 0, cpuUs: 0, serverUs: 0 };
  const look = setInterval(() => {
    try {
      seen.rssMiB = Math.max(seen.rssMiB, memoryMiB(child.pid ?? 0).most);
      seen.cpuUs = Math.max(seen.cpuUs, treeCpuUs(child.pid ?? 0));
      // Sessions take their CPU time with them when they end; the server then has it among its ended children.
      seen.serverUs = Math.max(seen.serverUs, treeCpuUs(postgresPid) - serverBefore);
    } catch {
      // It has ended between two looks.
    }
  }, 20);
  const [code] = (await once(child, "close")) as [number | null];
  clearInterval(look);
  const seconds = (performance.now() - startedMs) / 1_000;
  if (code !== 0) throw new Error(`${variant} ended with ${code}: ${said.slice(-1_000)}`);
  return {
    variant,
    round,
    seconds,
    clientCpuUs: seen.cpuUs,
    serverCpuUs: Math.max(seen.serverUs, treeCpuUs(postgresPid) - serverBefore),
    bytes: wire.bytes - bytesBefore,
    rssMiB: seen.rssMiB,
    found: /"outcome":"\w+"|"different":\d+|\d+\.?\d*% difference[^\n]*/.exec(said)?.[0] ?? said.trim().split("\n").at(-1) ?? "",
  };
}

/** Counts what goes both ways between a client and the server. */
class CountingWire implements AsyncDisposable {
  bytes = 0;
  readonly sockets = new Set<Socket>();

  private constructor(
    readonly url: string,
    private readonly stop: () => void,
  ) {}

  static async to(url: string): Promise<CountingWire> {
    const { hostname, port } = new URL(url);
    const wire: { it: CountingWire | null } = { it: null };
    const server = createServer((client) => {
      const upstream = connectSocket({ host: hostname, port: Number(port) });
      for (const [from, to] of [
        [client, upstream],
        [upstream, client],
      ] as const) {
        wire.it?.sockets.add(from);
        from.on("data", (data: Buffer) => {
          if (wire.it !== null) wire.it.bytes += data.length;
        });
        from.on("error", () => to.destroy());
        from.pipe(to);
      }
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const through = new URL(url);
    const address = server.address();
    through.hostname = "127.0.0.1";
    through.port = String(typeof address === "object" && address !== null ? address.port : 0);
    wire.it = new CountingWire(through.href, () => server.close());
    // A first connection, so that what does not work is met here.
    await (await connect(through.href)).end();
    return wire.it;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop();
    for (const socket of this.sockets) socket.destroy();
  }
}
