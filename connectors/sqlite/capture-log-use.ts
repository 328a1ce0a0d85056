/** Measures the capture log without reading it: a sample of rows by their numbers, which have no gaps. */
import { statfsSync } from "node:fs";
import { dirname } from "node:path";
import type { CaptureLogUse } from "../../core/contracts/source.js";
import type { Database } from "./database.js";

const sampled = 64;
/** Of a row without its values, by and large: header, number, operation, time. */
const rowBytes = 24;
/** Spreads the sample evenly and hits no pattern of the application's. */
const golden = 0.618_033_988_75;

export function captureLogUse(reader: Database, path: string): CaptureLogUse {
  const [oldest, newest] = reader.prepare("SELECT min(seq), max(seq) FROM _cdc_log").raw().get() as [number | null, number | null];
  const freeBytes = freeAt(path);
  if (oldest === null || newest === null) return { oldest: 0, newest: 0, bytes: 0, ms: 0, freeBytes };
  const age = reader
    .prepare("SELECT (julianday('now') - ts) * 86400000.0 FROM _cdc_log WHERE seq > ? ORDER BY seq LIMIT 1")
    .pluck()
    .get(oldest);
  const bytes = Math.round(meanRow(reader, oldest, newest) * (newest - oldest + 1));
  return { oldest, newest, bytes, ms: typeof age === "number" ? Math.max(0, age) : 0, freeBytes };
}

function meanRow(reader: Database, oldest: number, newest: number): number {
  const columns = (reader.pragma("table_info(_cdc_log)") as readonly { readonly name: string }[]).map(({ name }) => name);
  const sizes = columns.map((name) => `octet_length(${name})`).join(", ");
  const one = reader.prepare(`SELECT ${sizes} FROM _cdc_log WHERE seq = ?`).raw();
  const rows = newest - oldest + 1;
  const n = Math.min(sampled, rows);
  let bytes = 0;
  let found = 0;
  for (let i = 0; i < n; i++) {
    const seq = n === rows ? oldest + i : oldest + Math.floor(((i * golden) % 1) * rows);
    const row = one.get(seq) as readonly (number | null)[] | undefined;
    if (row === undefined) continue;
    found += 1;
    bytes += row.reduce<number>((sum, size) => sum + (size === null ? 0 : size + 1), rowBytes);
  }
  return found === 0 ? rowBytes : bytes / found;
}

function freeAt(path: string): number | null {
  try {
    const { bavail, bsize } = statfsSync(dirname(path));
    return bavail * bsize;
  } catch {
    return null;
  }
}
