/** The three headers of a DuckDB file: what it is, and which state of it is the newest complete one. */
import { readSync } from "node:fs";
import { TailraceError } from "../../../core/errors.js";
import { isSound } from "./checksum.js";
import { NotNow } from "./not-now.js";

export const headerBytes = 12_288;
const headerSize = 4_096;
/** Files that the library we bring can read: from DuckDB 0.10 on. */
const versionMin = 64;
const versionMax = 68;
const encryptedFlag = 1n;

export interface FileHeaders {
  /** All three, to be compared byte for byte. */
  readonly raw: Buffer;
  readonly version: number;
  /** Raised by every checkpoint. */
  readonly iteration: bigint;
}

/** Throws NotNow while a header is being written. Errors by name for what can never be read. */
export function readHeaders(fd: number, path: string): FileHeaders {
  const raw = Buffer.alloc(headerBytes);
  if (readSync(fd, raw, 0, headerBytes, 0) < headerBytes) throw notADatabase(path, raw);
  if (raw.toString("latin1", 8, 12) !== "DUCK") throw notADatabase(path, raw);
  const version = Number(raw.readBigUInt64LE(12));
  if (version < versionMin || version > versionMax) {
    throw new TailraceError("source.storage-version", {
      what: `The file has storage version ${version}; versions ${versionMin} to ${versionMax} can be read`,
      where: { path, version },
    });
  }
  // Flags stand behind the version since DuckDB 1.4; older files have zeros there.
  if ((raw.readBigUInt64LE(20) & encryptedFlag) !== 0n) {
    throw new TailraceError("source.encrypted", { what: "The file is encrypted", where: { path } });
  }
  const iterations = [headerSize, 2 * headerSize].map((at) => {
    if (!isSound(raw, at + 8, headerSize - 8, raw.readBigUInt64LE(at))) throw new NotNow("a header is being written");
    return raw.readBigUInt64LE(at + 8);
  });
  return { raw, version, iteration: iterations.reduce((a, b) => (a > b ? a : b)) };
}

function notADatabase(path: string, raw: Buffer): TailraceError {
  const what = raw.toString("latin1", 0, 15) === "SQLite format 3" ? "The file is an SQLite database" : "The file is not a DuckDB database";
  return new TailraceError("source.not-a-database", { what, where: { path } });
}
