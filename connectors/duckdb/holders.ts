/**
 * Which processes have a file open with DuckDB. DuckDB locks the main file as a whole with fcntl for as long as it is open, and Linux lists such locks
 * with device and inode; asking takes no lock and opens nothing. Elsewhere, and beyond this PID namespace (a container's neighbour), nobody can say.
 */
import { readFileSync, statSync } from "node:fs";

export interface Holder {
  readonly pid: number;
  /** The program's name, as far as it may be read. */
  readonly program: string | null;
  /** False: opened read-only, which keeps writers out as well. */
  readonly writes: boolean;
}

/** null: this system does not say. A file that is not there has no holders. */
export function holdersOf(path: string): readonly Holder[] | null {
  const locks = readOrNull("/proc/locks");
  if (locks === null) return null;
  const file = statSync(path, { bigint: true, throwIfNoEntry: false });
  if (file === undefined) return [];
  const { ino, dev } = file;
  return heldBy(locks, `${majorOf(dev)}:${minorOf(dev)}:${ino}`).map((lock) => ({ ...lock, program: programOf(lock.pid) }));
}

/** `1: POSIX  ADVISORY  WRITE 4711 fe:00:131078 0 EOF`; a line that begins with `->` waits for the one above it. */
function heldBy(locks: string, file: string): readonly Omit<Holder, "program">[] {
  const held = new Map<number, boolean>();
  for (const line of locks.split("\n")) {
    const [, kind, , mode, pid, where] = line.trim().split(/\s+/);
    if (kind !== "POSIX" || where !== file || Number(pid) <= 0) continue;
    held.set(Number(pid), mode === "WRITE" || held.get(Number(pid)) === true);
  }
  return [...held].map(([pid, writes]) => ({ pid, writes }));
}

/** As the kernel prints them: two hexadecimal digits at least. The split of a dev_t is glibc's. */
const majorOf = (dev: bigint): string => hex(((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn));
const minorOf = (dev: bigint): string => hex((dev & 0xffn) | ((dev >> 12n) & ~0xffn));
const hex = (n: bigint): string => n.toString(16).padStart(2, "0");

const programOf = (pid: number): string | null => readOrNull(`/proc/${pid}/comm`)?.trim() ?? null;

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}
