/** RSS of each service: at rest, draining a backlog, and in one source transaction of very many rows. */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { OrderChanges, write } from "./changes.js";
import type { Bench, LogKind } from "./options.js";
import { fillOrders, openApplication } from "./orders.js";
import { BenchPipeline, type Role } from "./pipeline.js";
import { type BenchPlace, openPlace } from "./place.js";
import { memoryMiB } from "./process-figures.js";
import { rounded } from "./report.js";

interface Figure {
  readonly log: LogKind;
  readonly state: string;
  readonly sourceMiB: number;
  readonly sinkMiB: number;
  readonly seconds: number | null;
}
interface Scene {
  readonly log: LogKind;
  readonly pipeline: BenchPipeline;
  readonly application: ReturnType<typeof openApplication>;
  readonly changes: OrderChanges;
}

interface Sizes {
  readonly backlog: number;
  readonly transaction: number;
  readonly profile: string | null;
  readonly say: (text: string) => void;
}

const rows = 100_000;
const restSeconds = 5;
const roles: readonly Role[] = ["source", "sink"];

export const memory: Bench = async (options) => {
  const backlog = options.count("changes", 5_000_000, 200_000);
  const transaction = options.count("transaction", 2_000_000, 100_000);
  await using place = await openPlace(options.logs);
  const figures: Figure[] = [];
  for (const log of place.logs)
    figures.push(...(await ofLog(place, log, { backlog, transaction, say: options.say, profile: options.profile })));
  return {
    setup: [
      `peak RSS (VmHWM) of fresh processes; at rest: RSS ${restSeconds} s after a snapshot of ${rows} rows was applied`,
      `backlog: ${backlog} changes of 10-change transactions, committed while no service ran; transaction: ${transaction} changes in one commit, services running`,
      "changes/s: from the start of the services, or of the transaction's first write, to the last change applied",
      place.postgres,
    ],
    tables: [
      {
        title: "memory, MiB",
        columns: ["log", "state", "source", "sink", "changes/s"],
        rows: figures.map(({ log, state, sourceMiB, sinkMiB, seconds }) => [
          log,
          state,
          rounded(sourceMiB, 0),
          rounded(sinkMiB, 0),
          seconds === null ? null : rounded((state.startsWith("backlog") ? backlog : transaction) / seconds, 0),
        ]),
      },
    ],
    skipped: place.skipped,
    rounds: figures,
  };
};

async function ofLog(place: BenchPlace, log: LogKind, { backlog, transaction, say, profile }: Sizes): Promise<readonly Figure[]> {
  const file = join(place.folder, `memory-${log}.db`);
  fillOrders(file, rows, true);
  await using pipeline = await BenchPipeline.make(place, { name: `memory_${log}`, log, file, profile });
  const application = openApplication(file);
  const scene: Scene = { log, pipeline, application, changes: new OrderChanges(rows) };
  const figures: Figure[] = [];
  const told = (figure: Figure): void => {
    figures.push(figure);
    say(`${log}: ${figure.state}: source ${rounded(figure.sourceMiB, 0)} MiB, sink ${rounded(figure.sinkMiB, 0)} MiB`);
  };
  try {
    told(await pipeline.run(roles, () => atRest(scene)));
    for (let done = 0; done < backlog; done += 100_000) write(application, scene.changes.take(Math.min(100_000, backlog - done)), 10);
    told(await pipeline.run(roles, () => peaks(scene, `backlog of ${backlog}`, () => {})));
    told(
      await pipeline.run(roles, async () => {
        await pipeline.until("it streams", ({ phase }) => phase === "streaming");
        const changes = scene.changes.take(transaction);
        return peaks(scene, `one transaction of ${transaction}`, () => write(application, changes, transaction));
      }),
    );
  } finally {
    application.close();
  }
  return figures;
}

async function atRest({ log, pipeline }: Scene): Promise<Figure> {
  await pipeline.until("the snapshot ends", ({ phase }) => phase === "streaming");
  await sleep(restSeconds * 1000);
  const now = (role: Role): number => memoryMiB(pipeline.pid(role)).now;
  return { log, state: "at rest", sourceMiB: now("source"), sinkMiB: now("sink"), seconds: null };
}

async function peaks({ log, pipeline, application }: Scene, state: string, work: () => void): Promise<Figure> {
  const began = performance.now();
  work();
  const last = Number(application.prepare("SELECT max(seq) FROM _cdc_log").pluck().get());
  await pipeline.until(`${state} is applied`, ({ order }) => order >= last);
  const most = (role: Role): number => memoryMiB(pipeline.pid(role)).most;
  return { log, state, sourceMiB: most("source"), sinkMiB: most("sink"), seconds: (performance.now() - began) / 1000 };
}
