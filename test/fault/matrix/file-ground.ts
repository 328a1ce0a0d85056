/** A source file to be tampered with while source and sink run beside it. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import type { FaultGround } from "./fault-case.js";
import { knownPlace } from "../harness/place.js";
import { Ground } from "./ground.js";

export class FileGround implements FaultGround {
  static async make(): Promise<FileGround> {
    return new FileGround(await Ground.make());
  }

  private constructor(readonly ground: Ground) {}

  get file(): string {
    return this.ground.file;
  }

  /** A whole copy of the file, as a backup tool makes it. */
  async backup(): Promise<string> {
    const to = join(this.ground.folder, `backup-${Math.random()}.db`);
    const db = new Database(this.file, { readonly: true });
    await db.backup(to);
    db.close();
    return to;
  }

  /** From here on an older past holds: everything is read again, under the next history. */
  async pastGoesBack(): Promise<void> {
    this.ground.pastReplaced = true;
    await this.allIsReadAgain();
  }

  async allIsReadAgain(): Promise<void> {
    this.ground.history = (await knownPlace(this.ground)).history + 1;
  }

  /** While it is held, nothing that is committed comes out of the -wal file into the database, whoever makes a checkpoint. */
  holdCheckpoints(): Disposable {
    const reader = new Database(this.file, { readonly: true });
    reader.exec("BEGIN; SELECT count(*) FROM account");
    return { [Symbol.dispose]: () => void reader.close() };
  }

  removeSides(): void {
    for (const side of ["-wal", "-shm"]) rmSync(`${this.file}${side}`, { force: true });
  }

  /** Everything is in the file itself, as after the application has closed it. */
  checkpoint(): void {
    this.ground.sql("PRAGMA wal_checkpoint(TRUNCATE)");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.ground[Symbol.asyncDispose]();
  }
}
