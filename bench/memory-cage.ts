/**
 * A memory cgroup of its own, of version 1 or 2, for processes that are started in it. The kernel counts the page cache of what they read and write as
 * theirs, gives it back when room is needed, and kills one of them when that is not enough.
 */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

interface Names {
  readonly root: string;
  readonly limit: string;
  readonly peak: string;
  /** Of memory.stat: what processes hold that is not in any file. */
  readonly held: string;
  readonly events: string;
}
const versions: readonly Names[] = [
  {
    root: "/sys/fs/cgroup/memory",
    limit: "memory.limit_in_bytes",
    peak: "memory.max_usage_in_bytes",
    held: "total_rss",
    events: "memory.oom_control",
  },
  { root: "/sys/fs/cgroup", limit: "memory.max", peak: "memory.peak", held: "anon", events: "memory.events" },
];

export class MemoryCage implements AsyncDisposable {
  #heldMost = 0;
  readonly #over = new AbortController();
  readonly #watching: Promise<void>;

  private constructor(
    private readonly path: string,
    private readonly names: Names,
  ) {
    this.#watching = this.#watch();
  }

  /** null: this system lets nobody make one here. */
  static make(name: string, bytes: number): MemoryCage | null {
    const names = versions.find(({ root, limit }) => existsSync(join(root, limit)) || existsSync(join(root, "cgroup.subtree_control")));
    if (names === undefined) return null;
    const path = join(names.root, name);
    try {
      mkdirSync(path, { recursive: true });
      writeFileSync(join(path, names.limit), String(bytes));
      return new MemoryCage(path, names);
    } catch {
      return null;
    }
  }

  /** The same command as a process of the cage; its pid is the program's. */
  command(words: readonly string[]): readonly [string, readonly string[]] {
    return ["/bin/sh", ["-c", 'echo $$ > "$0" && exec "$@"', join(this.path, "cgroup.procs"), ...words]];
  }

  figures(): { readonly peakMiB: number; readonly heldMostMiB: number; readonly kills: number } {
    const kills = /^oom_kill (\d+)/m.exec(this.#read(this.names.events))?.[1] ?? 0;
    return { peakMiB: Number(this.#read(this.names.peak)) / 2 ** 20, heldMostMiB: this.#heldMost, kills: Number(kills) };
  }

  /** Legal once all of its processes have ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort();
    await this.#watching;
    rmdirSync(this.path);
  }

  async #watch(): Promise<void> {
    while (!this.#over.signal.aborted) {
      const held = new RegExp(`^${this.names.held} (\\d+)`, "m").exec(this.#read("memory.stat"))?.[1] ?? 0;
      this.#heldMost = Math.max(this.#heldMost, Number(held) / 2 ** 20);
      await sleep(100, undefined, { signal: this.#over.signal }).catch(() => {});
    }
  }

  #read(name: string): string {
    return readFileSync(join(this.path, name), "utf8");
  }
}
