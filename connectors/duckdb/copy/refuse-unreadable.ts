/** What can never be read is said before anything is begun. */
import { closeSync, openSync } from "node:fs";
import { TailraceError } from "../../../core/errors.js";
import { readHeaders } from "./file-headers.js";
import { NotNow } from "./not-now.js";

/** Answers the storage version; null: the file is in the middle of something. */
export function refuseUnreadable(path: string): number | null {
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch (cause) {
    const { code } = cause as { code?: unknown };
    if (code === "ENOENT")
      throw new TailraceError("source.missing", { what: "There is no file at the source's path", where: { path }, cause });
    throw new TailraceError("source.unavailable", {
      what: "The file cannot be opened for reading",
      where: { path, errno: String(code) },
      cause,
    });
  }
  try {
    return readHeaders(fd, path).version;
  } catch (thrown) {
    if (thrown instanceof NotNow) return null;
    throw thrown;
  } finally {
    closeSync(fd);
  }
}
