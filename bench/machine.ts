/** What the figures were taken on. Figures of two machines, or of two loads, are not compared. */
import { readFileSync } from "node:fs";
import { arch, cpus, loadavg, release, totalmem } from "node:os";

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly os: string;
  readonly node: string;
  readonly sqlite: string;
  /** One, five and fifteen minutes. Above the number of cores: others were at work. */
  readonly load: readonly number[];
}

export function describeMachine(): Machine {
  const found = cpus();
  return {
    cpu: (found[0]?.model ?? "unknown").trim(),
    cores: found.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    os: `Linux ${release()} ${arch()}`,
    node: process.version,
    sqlite: sqliteVersion(),
    load: loadavg().map((load) => Math.round(load * 100) / 100),
  };
}

function sqliteVersion(): string {
  const manifest = new URL("../../../node_modules/better-sqlite3/package.json", import.meta.url);
  return `better-sqlite3 ${(JSON.parse(readFileSync(manifest, "utf8")) as { version: string }).version}`;
}
