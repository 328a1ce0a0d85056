/** What people do to the capture: its triggers, its log, its state. */
import Database from "better-sqlite3";
import { verb as snapshot } from "../../../cli/verbs/snapshot.js";
import type { FaultArea, FaultCase } from "./fault-case.js";
import { FileGround } from "./file-ground.js";

const cases: readonly FaultCase<FileGround>[] = [
  {
    fault: "A capture trigger is dropped",
    does: "the source stops at once; apply reads the table again",
    codes: ["source.schema-changed"],
    run: async ({ ground }) => {
      ground.sql(`DROP TRIGGER _cdc_${numberOf(ground.file, "bulk")}_u; UPDATE bulk SET payload = 'unseen' WHERE id % 2 = 0`);
      await ground.stops("source", "source.schema-changed");
      await ground.apply();
      await ground.start("source");
      await ground.write();
    },
  },
  {
    fault: "A table is rebuilt, as migration tools do it",
    does: "the source stops at once; apply reads the table again",
    codes: ["source.schema-changed", "target.fenced"],
    run: async ({ ground }) => {
      ground.sql(`BEGIN; CREATE TABLE anew (id INTEGER PRIMARY KEY, batch INTEGER NOT NULL, payload TEXT NOT NULL);
        INSERT INTO anew SELECT id, batch, upper(payload) FROM bulk WHERE id % 5 <> 0;
        DROP TABLE bulk; ALTER TABLE anew RENAME TO bulk; CREATE INDEX bulk_batch ON bulk (batch); COMMIT`);
      await ground.stops("source", "source.schema-changed");
      await ground.apply();
      await ground.start("source");
      await ground.write();
    },
  },
  {
    fault: "Somebody empties the capture log",
    does: "everything is read again",
    codes: [],
    unwatched: true,
    run: async (on) => {
      await on.ground.write();
      await on.ground.caughtUp();
      await on.ground.stop("source");
      on.ground.sql("UPDATE bulk SET payload = 'lost' WHERE id % 2 = 1; DELETE FROM _cdc_log");
      await on.allIsReadAgain();
      await on.ground.start("source");
      await on.ground.write();
    },
  },
  {
    fault: "Somebody drops the capture log",
    does: "the source stops; apply makes it again and everything is read again",
    codes: ["source.not-applied", "source.log-damaged"],
    unwatched: true,
    run: async (on) => {
      await on.ground.write();
      await on.ground.caughtUp();
      await on.allIsReadAgain();
      on.ground.sql("DROP TABLE _cdc_log");
      await on.ground.stops("source", "source.not-applied", "source.log-damaged");
      await on.ground.apply();
      await on.ground.start("source");
      await on.ground.write();
    },
  },
  {
    fault: "Somebody deletes our row of state",
    does: "the source stops; apply writes it again and everything is read again",
    codes: ["source.log-damaged"],
    unwatched: true,
    run: async (on) => {
      on.ground.sql("DELETE FROM _cdc_state");
      await on.ground.stops("source", "source.log-damaged");
      await on.ground.apply();
      await on.ground.verb(snapshot, [], { all: true });
      await on.ground.start("source");
      await on.ground.write();
    },
  },
];

function numberOf(file: string, table: string): number {
  const db = new Database(file, { readonly: true });
  const number = Number(db.prepare("SELECT t FROM _cdc_tables WHERE name = ?").pluck().get(table));
  db.close();
  return number;
}

export const captureFaults: FaultArea<FileGround> = {
  title: "The capture in the source",
  test: "test/fault/matrix/source-file.test.ts",
  cases,
  make: () => FileGround.make(),
};
