/** CPU time and memory of other processes, from /proc. Clock ticks are 10 ms: sections shorter than a second say little. */
import { readdirSync, readFileSync } from "node:fs";

const tickUs = 10_000;

interface Stat {
  readonly parent: number;
  readonly ownUs: number;
  /** Of children that have ended and were waited for. */
  readonly endedUs: number;
}

function statOf(pid: number): Stat | null {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? [];
    const at = (i: number): number => Number(fields[i] ?? 0);
    return { parent: at(1), ownUs: (at(11) + at(12)) * tickUs, endedUs: (at(13) + at(14)) * tickUs };
  } catch {
    return null;
  }
}

/** Of the process and everything below it, ended children included. 0 when it is gone. */
export function treeCpuUs(root: number): number {
  const own = statOf(root);
  if (own === null) return 0;
  let us = own.ownUs + own.endedUs;
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const stat = statOf(Number(name));
    if (stat?.parent === root) us += stat.ownUs + stat.endedUs;
  }
  return us;
}

/** Processes that this one started and that still run. */
export const childrenOf = (parent: number): readonly number[] =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => statOf(pid)?.parent === parent);

export function memoryMiB(pid: number): { readonly now: number; readonly most: number } {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const kib = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? 0);
  return { now: kib("VmRSS") / 1024, most: kib("VmHWM") / 1024 };
}

/** CPU of several processes between two moments, in µs per row. */
export class CpuMeter {
  readonly #begin: ReadonlyMap<string, number>;

  constructor(private readonly pids: ReadonlyMap<string, number>) {
    this.#begin = this.#read();
  }

  perRow(rows: number): Readonly<Record<string, number>> {
    const end = this.#read();
    return Object.fromEntries([...end].map(([name, us]) => [name, (us - (this.#begin.get(name) ?? 0)) / rows]));
  }

  #read(): ReadonlyMap<string, number> {
    return new Map([...this.pids].map(([name, pid]) => [name, treeCpuUs(pid)]));
  }
}
