/** What is looked at all the time while something runs, for the most that it came to. */
import { lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { childrenOf, memoryMiB, treeCpuUs } from "./process-figures.js";
import { rounded } from "./report.js";

/** The most that files below a directory took; a file with several names counts once. */
export class DiskWatch implements AsyncDisposable {
  most = 0;
  readonly #over = new AbortController();
  readonly #watching: Promise<void>;

  constructor(private readonly directory: string) {
    this.#watching = this.#watch();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort();
    await this.#watching;
  }

  async #watch(): Promise<void> {
    while (!this.#over.signal.aborted) {
      this.most = Math.max(this.most, bytesBelow(this.directory, new Set()));
      await sleep(1_000, undefined, { signal: this.#over.signal }).catch(() => {});
    }
  }
}

function bytesBelow(directory: string, seen: Set<number>): number {
  let bytes = 0;
  for (const entry of names(directory)) {
    const path = join(directory, entry);
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat === undefined || seen.has(stat.ino)) continue;
    seen.add(stat.ino);
    bytes += stat.isDirectory() ? bytesBelow(path, seen) : stat.blocks * 512;
  }
  return bytes;
}

function names(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    // It went away while we looked.
    return [];
  }
}

/** Peak memory and CPU of services and of the processes that they start, those that have ended included. */
export class ProcessWatch implements AsyncDisposable {
  readonly #most = new Map<string, number>();
  readonly #cpu = new Map<number, number>();
  readonly #over = new AbortController();
  readonly #watching: Promise<void>;

  constructor(private readonly services: () => readonly (readonly [string, number])[]) {
    this.#watching = this.#watch();
  }

  cpuUs(): number {
    this.#look();
    return [...this.#cpu.values()].reduce((sum, us) => sum + us, 0);
  }

  most(): string {
    return [...this.#most].map(([name, mib]) => `${name} ${rounded(mib, 0)} MiB`).join(", ");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort();
    await this.#watching;
  }

  async #watch(): Promise<void> {
    while (!this.#over.signal.aborted) {
      this.#look();
      await sleep(250, undefined, { signal: this.#over.signal }).catch(() => {});
    }
  }

  #look(): void {
    for (const [role, pid] of this.services()) {
      if (pid === 0) continue;
      this.#note(role, pid);
      this.#cpu.set(pid, treeCpuUs(pid));
      for (const child of childrenOf(pid)) this.#note(`${role}'s engine`, child);
    }
  }

  #note(name: string, pid: number): void {
    try {
      this.#most.set(name, Math.max(this.#most.get(name) ?? 0, memoryMiB(pid).most));
    } catch {
      // It ended while we looked.
    }
  }
}
