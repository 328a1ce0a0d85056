/** Disks that are full: the source's, the log's, the one that stderr is redirected to. */
import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { program } from "../../cli/command.js";
import { until } from "../../support/oracles/until.js";
import type { FaultArea, FaultCase, FaultGround } from "./fault-case.js";
import { Ground, livenessMs } from "./ground.js";
import { SmallDisk } from "./small-disk.js";

class DiskGround implements FaultGround {
  static async make(): Promise<DiskGround> {
    const source = new SmallDisk(8);
    const state = join(source.path, ".tailrace");
    mkdirSync(state);
    const log = new SmallDisk(4, state);
    const ground = await Ground.make({ folder: source.path });
    return new DiskGround(ground, source, log);
  }

  private constructor(
    readonly ground: Ground,
    readonly source: SmallDisk,
    readonly log: SmallDisk,
  ) {}

  async [Symbol.asyncDispose](): Promise<void> {
    await this.ground[Symbol.asyncDispose]();
    this.log[Symbol.dispose]();
    this.source[Symbol.dispose]();
  }
}

const manyRows = (batch: number, rows: number): string =>
  `INSERT INTO bulk (batch, payload) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows}) SELECT ${batch} + i / 500, hex(randomblob(300)) FROM n`;

const cases: readonly FaultCase<DiskGround>[] = [
  {
    fault: "The source's disk is full",
    does: "the application's own writes fail and leave the file whole; the source waits or has nothing to do, and goes on when there is room",
    codes: ["source.full", "source.unavailable"],
    root: true,
    run: async ({ ground, source }) => {
      source.fill();
      const refused = (): boolean => {
        try {
          ground.sql(manyRows(800, 3_000));
          return false;
        } catch (thrown) {
          return (thrown as { code?: unknown }).code === "SQLITE_FULL";
        }
      };
      if (!refused()) throw new Error("there was room for it");
      await ground.stop("source");
      await ground.start("source");
      await ground.says("source", "source.full", "source.unavailable");
      source.makeRoom();
      await ground.write();
    },
  },
  {
    fault: "The disk of the embedded log is full",
    does: "the source waits, says so, and goes on when there is room",
    codes: ["log.full", "log.unavailable"],
    root: true,
    run: async ({ ground, log }) => {
      log.fill();
      ground.sql(manyRows(850, 2_000));
      await ground.says("source", "log.full");
      log.makeRoom();
      log.grow(32);
      await ground.write();
    },
  },
  {
    fault: "The disk that stderr goes to is full",
    does: "lines of the log are lost, the service goes on",
    codes: [],
    root: true,
    run: async ({ ground }) => {
      using small = new SmallDisk(1);
      small.fill();
      await ground.stop("sink");
      const full = openSync(join(small.path, "stderr.log"), "a");
      const child = spawn(process.execPath, [program, "run", "sink", "-c", ground.settingsFile], { stdio: ["ignore", "ignore", full] });
      closeSync(full);
      try {
        await ground.write();
        await until(
          async () => ((await ground.place())?.order ?? 0) >= ground.newestCaptured() || child.exitCode !== null,
          livenessMs(),
          () => "the sink does not go on",
        );
        if (child.exitCode !== null) throw new Error(`the sink ended with ${child.exitCode}`);
      } finally {
        const gone = new Promise((resolve) => child.once("close", resolve));
        child.kill("SIGTERM");
        await gone;
      }
      await ground.start("sink");
    },
  },
];

export const diskFaults: FaultArea<DiskGround> = {
  title: "Disks",
  test: "test/fault/matrix/disks.test.ts",
  cases,
  make: () => DiskGround.make(),
};
