/** What people, backups and disks do to the source's file while source and sink run, or between two runs. */
import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, renameSync, rmSync, statSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { verb as snapshot } from "../../../cli/verbs/snapshot.js";
import { makeHostileDatabase } from "../../support/hostile-application.js";
import { until } from "../../support/oracles/until.js";
import type { FaultArea, FaultCase } from "./fault-case.js";
import { FileGround } from "./file-ground.js";
import { livenessMs } from "./ground.js";

const cases: readonly FaultCase<FileGround>[] = [
  {
    fault: "VACUUM, REINDEX and ANALYZE while everything runs",
    does: "nothing is said, nothing is read again",
    codes: [],
    run: async ({ ground }) => {
      ground.sql("DELETE FROM bulk WHERE id % 3 = 0; VACUUM; REINDEX; ANALYZE");
      await ground.write();
    },
  },
  {
    fault: "The page size is changed by VACUUM while the source is stopped",
    does: "it goes on where it was",
    codes: [],
    run: async ({ ground }) => {
      await ground.stop("source");
      ground.sql("PRAGMA journal_mode = DELETE; PRAGMA page_size = 8192; VACUUM; PRAGMA journal_mode = WAL");
      await ground.write();
      await ground.start("source");
    },
  },
  {
    fault: "The journal mode is no longer WAL",
    does: "the source stops; once the mode is set back, starting it again is enough",
    codes: ["source.mode"],
    run: async ({ ground }) => {
      await ground.stop("source");
      ground.sql("PRAGMA journal_mode = DELETE; UPDATE account SET version = version");
      await ground.start("source");
      await ground.stops("source", "source.mode");
      ground.sql("PRAGMA journal_mode = WAL");
      await ground.start("source");
      await ground.write();
    },
  },
  {
    fault: "The application holds the write lock for long while the source starts",
    does: "the source waits and goes on",
    codes: ["source.busy"],
    run: async ({ ground, file }) => {
      await ground.stop("source");
      const other = new Database(file);
      other.exec("BEGIN IMMEDIATE; UPDATE account SET version = version");
      await ground.start("source");
      await ground.says("source", "source.busy");
      other.exec("COMMIT");
      other.close();
      await ground.write();
    },
  },
  {
    fault: "The application opens the file in exclusive mode while the source is stopped",
    does: "the source waits until it can read",
    codes: ["source.busy"],
    run: async ({ ground, file }) => {
      await ground.stop("source");
      const greedy = new Database(file);
      greedy.pragma("locking_mode = EXCLUSIVE");
      greedy.exec("UPDATE account SET version = version");
      await ground.start("source");
      await ground.says("source", "source.busy");
      greedy.close();
    },
  },
  {
    fault: "The file is moved away and comes back",
    does: "the source waits and goes on where it was",
    codes: ["source.replaced"],
    run: async ({ ground, file }) => {
      renameSync(file, `${file}.away`);
      await ground.says("source", "source.replaced");
      renameSync(`${file}.away`, file);
      await ground.write();
    },
  },
  {
    fault: "A copy of the same file is put in its place",
    does: "the source opens it and goes on where it was",
    codes: ["source.replaced"],
    run: async (on) => {
      const copy = await on.backup();
      on.removeSides();
      renameSync(copy, on.file);
      await on.ground.says("source", "source.replaced");
      await on.ground.write();
    },
  },
  {
    fault: "Something that is no database is put in the file's place",
    does: "the source stops; once the file is back, starting it again is enough",
    codes: ["source.replaced", "source.not-a-database"],
    run: async ({ ground, file }) => {
      renameSync(file, `${file}.good`);
      for (const side of ["-wal", "-shm"]) renameSync(`${file}${side}`, `${file}.good${side}`);
      writeFileSync(file, "this is a letter, not a database ".repeat(1_000));
      await ground.stops("source", "source.not-a-database");
      rmSync(file);
      for (const side of ["", "-wal", "-shm"]) renameSync(`${file}.good${side}`, `${file}${side}`);
      await ground.start("source");
      await ground.write();
    },
  },
  {
    fault: "The -wal file is deleted while everything runs and holds nothing that matters",
    does: "the source notices before it writes into the deleted one, and opens the file anew",
    codes: ["source.replaced"],
    run: async (on) => {
      on.checkpoint();
      rmSync(`${on.file}-wal`);
      await on.ground.says("source", "source.replaced");
      await on.ground.write();
    },
  },
  {
    fault: "The -shm file is deleted while everything runs",
    does: "the source notices that it shares no locks with others any more, and opens the file anew",
    codes: ["source.replaced"],
    run: async (on) => {
      on.checkpoint();
      rmSync(`${on.file}-shm`);
      await on.ground.says("source", "source.replaced");
      await on.ground.write();
    },
  },
  {
    fault: "The application is killed and its -wal file is deleted: commits that were carried over are gone at the source",
    does: "the anchors notice it, and everything is read again",
    codes: [],
    unwatched: true,
    run: async (on) => {
      const { ground } = on;
      on.checkpoint();
      {
        using _ = on.holdCheckpoints();
        const before = ground.newestCaptured();
        await ground.writing(200);
        await until(
          () => ground.relayed() > before + 100,
          livenessMs(),
          () => `nothing is carried over\n${ground.describe()}`,
        );
        await ground.stop("source");
        await ground.application.kill();
      }
      on.removeSides();
      await on.pastGoesBack();
      await ground.start("source");
      await ground.write();
    },
  },
  {
    fault: "An older backup is put in the file's place while everything runs, by rename",
    does: "everything is read again, deletions included",
    codes: ["source.replaced"],
    unwatched: true,
    run: async (on) => {
      const older = await on.backup();
      await on.ground.write();
      await on.ground.caughtUp();
      await on.pastGoesBack();
      on.removeSides();
      renameSync(older, on.file);
      await on.ground.write();
    },
  },
  {
    fault: "An older backup is copied over the open file",
    does: "everything is read again, deletions included",
    codes: [],
    unwatched: true,
    run: async (on) => {
      const older = await on.backup();
      await on.ground.write();
      await on.ground.caughtUp();
      await on.pastGoesBack();
      on.checkpoint();
      execFileSync("cp", [older, on.file]);
      await on.ground.caughtUp();
      await on.ground.write();
    },
  },
  {
    fault: "The file is deleted, and made anew by the application without our capture",
    does: "the source stops; apply and a start copy the new one",
    codes: ["source.replaced", "source.not-applied"],
    unwatched: true,
    run: async (on) => {
      const { ground } = on;
      await on.pastGoesBack();
      rmSync(on.file);
      on.removeSides();
      await ground.says("source", "source.replaced");
      await makeHostileDatabase(`${on.file}.new`, { seed: 99, rows: 100, triggers: true });
      renameSync(`${on.file}.new`, on.file);
      await ground.stops("source", "source.not-applied");
      await ground.apply();
      await ground.start("source");
      await ground.write();
    },
  },
  {
    fault: "The file is replaced, before anything was ever captured, by another one that was applied elsewhere",
    does: "the two installations are told apart, and everything is read again",
    codes: ["source.replaced"],
    unwatched: true,
    run: async (on) => {
      const { ground } = on;
      if (ground.newestCaptured() > 0) {
        await on.pastGoesBack();
        ground.sql("DELETE FROM _cdc_log");
        await ground.caughtUp();
      }
      const other = `${on.file}.other`;
      await makeHostileDatabase(other, { seed: 98, rows: 50, triggers: true });
      await ground.applyTo(other);
      await on.pastGoesBack();
      on.removeSides();
      renameSync(other, on.file);
      await ground.caughtUp();
    },
  },
  {
    fault: "A page of a table is damaged",
    does: "the source stops when it reads it; a good backup in the file's place is enough",
    codes: ["source.damaged"],
    unwatched: true,
    run: async (on) => {
      const { ground, file } = on;
      const good = await on.backup();
      await ground.write();
      await ground.caughtUp();
      await ground.stop("source");
      damage(file, "bulk");
      await ground.verb(snapshot, ["bulk"]);
      await ground.start("source");
      await ground.stops("source", "source.damaged");
      await on.pastGoesBack();
      on.removeSides();
      renameSync(good, file);
      await ground.start("source");
      await ground.write();
    },
  },
  {
    fault: "The file lies where nothing can be written",
    does: "the source waits and says so; once it can write, it goes on",
    codes: ["source.unavailable", "source.replaced"],
    root: true,
    run: async ({ ground, file }) => {
      await ground.stop("source");
      ground.sql("PRAGMA wal_checkpoint(TRUNCATE)");
      const place = mkdtempSync(join(tmpdir(), "tailrace-readonly-"));
      execFileSync("mount", ["--bind", ground.folder, place]);
      execFileSync("mount", ["-o", "remount,bind,ro", place]);
      try {
        ground.settle({ source: { kind: "sqlite", path: join(place, "app.db") } });
        await ground.start("source");
        await ground.says("source", "source.unavailable");
        execFileSync("mount", ["-o", "remount,bind,rw", place]);
        await ground.write();
        await ground.caughtUp();
        await ground.stop("source");
      } finally {
        ground.settle({});
        execFileSync("umount", [place]);
        rmSync(place, { recursive: true });
      }
      await ground.start("source");
      await until(
        () => statSync(file).size > 0,
        livenessMs(),
        () => "",
      );
    },
  },
];

/** What no page begins with, over a leaf of the table. */
function damage(file: string, table: string): void {
  const db = new Database(file);
  db.pragma("wal_checkpoint(TRUNCATE)");
  const size = Number(db.pragma("page_size", { simple: true }));
  const page = Number(db.prepare("SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf' LIMIT 1").pluck().get(table));
  db.close();
  const fd = openSync(file, "r+");
  writeSync(fd, Buffer.alloc(64, 0xff), 0, 64, (page - 1) * size);
  closeSync(fd);
}

export const sourceFileFaults: FaultArea<FileGround> = {
  title: "The source's file",
  test: "test/fault/matrix/source-file.test.ts",
  cases,
  make: () => FileGround.make(),
};
