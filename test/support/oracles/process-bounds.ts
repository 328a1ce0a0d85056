/** O9: what a process of ours takes: memory, descriptors, files it leaves behind. Linux only, read from /proc. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

export interface Bounds {
  readonly rssMiBMax: number;
  readonly descriptorsMax: number;
}

export function rssMiB(pid: number): number | null {
  const line = readOrNull(`/proc/${pid}/status`)?.match(/^VmRSS:\s+(\d+) kB$/m);
  return line?.[1] === undefined ? null : Number(line[1]) / 1024;
}

/**
 * Without the modules that a process which starts has open for a moment, a hundred at once on a busy machine: neither those that are
 * still open nor those that were closed between the list and the look at them.
 */
export function descriptors(pid: number): number | null {
  try {
    return readdirSync(`/proc/${pid}/fd`).filter((fd) => staysOpen(`/proc/${pid}/fd/${fd}`)).length;
  } catch {
    return null;
  }
}

function staysOpen(path: string): boolean {
  try {
    return !/\.(?:[mc]?js|json|node)$/.test(readlinkSync(path));
  } catch {
    return false;
  }
}

export class BoundsWatch {
  readonly #highest = new Map<string, { rss: number; descriptors: number }>();

  constructor(private readonly bounds: Bounds) {}

  /** A process that is gone counts as nothing. */
  sample(name: string, pid: number): void {
    const before = this.#highest.get(name) ?? { rss: 0, descriptors: 0 };
    this.#highest.set(name, {
      rss: Math.max(before.rss, rssMiB(pid) ?? 0),
      descriptors: Math.max(before.descriptors, descriptors(pid) ?? 0),
    });
  }

  faults(): readonly string[] {
    const { rssMiBMax, descriptorsMax } = this.bounds;
    return [...this.#highest].flatMap(([name, high]) => [
      ...(high.rss > rssMiBMax ? [`${name} took ${Math.round(high.rss)} MiB of memory, more than ${rssMiBMax}`] : []),
      ...(high.descriptors > descriptorsMax ? [`${name} held ${high.descriptors} descriptors, more than ${descriptorsMax}`] : []),
    ]);
  }
}

/** Names under `folder` that the run has left behind. */
export function leftBehind(folder: string, before: readonly string[]): readonly string[] {
  const known = new Set(before);
  return readdirSync(folder).filter((name) => !known.has(name));
}

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}
