/**
 * How other processes ask the one relay for something: a file each, in our own directory, there whole or not at all. The relay reads them before it
 * takes a copy, so whatever was committed before a marker was written is told before it; it removes them once the log holds what they asked for.
 */
import { randomUUID } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../../core/clock.js";
import type { HoldName, SourceRequests } from "../../core/contracts/source.js";
import { TailraceError } from "../../core/errors.js";
import { type MarkerId, markerId, type PipelineId, type RereadId, rereadId, type TableId, tableId } from "../../core/vocabulary/ids.js";
import { type Position, position } from "../../core/vocabulary/position.js";
import type { Key } from "../../core/vocabulary/value.js";
import { CaptureDirectory, type CaptureDirectoryOptions, writeDurably } from "./capture-directory.js";
import { keyPartText } from "./column-type.js";

export type Request =
  | { readonly kind: "marker"; readonly marker: MarkerId }
  | { readonly kind: "touch"; readonly table: TableId; readonly keys: readonly (readonly string[])[] }
  | { readonly kind: "reread"; readonly why: "ask" | "gap"; readonly tables: readonly TableId[] | null; readonly reread: RereadId };

const touchedKeysMax = 10_000;
const answerEveryMs = 20;

export interface DuckDbRequestsOptions extends CaptureDirectoryOptions {
  readonly pipeline: PipelineId;
  /** How long a marker waits for the source service to tell its true position; default: not at all. */
  readonly answerMs?: number;
  /** Ends that waiting. */
  readonly signal?: AbortSignal;
}

export function openDuckDbRequests(options: DuckDbRequestsOptions): SourceRequests {
  const directory = new CaptureDirectory(options);
  directory.installedFor(options.pipeline);
  return new DuckDbRequests(directory, options.answerMs ?? 0, options.signal ?? new AbortController().signal);
}

class DuckDbRequests implements SourceRequests {
  constructor(
    private readonly directory: CaptureDirectory,
    private readonly answerMs: number,
    private readonly signal: AbortSignal,
  ) {}

  /**
   * Without an answer the position is the least that the marker can have: its true one is known when a copy has been compared. Whoever waits for the
   * answer and gets none hears of it by `verify.not-there`.
   */
  async marker(marker: MarkerId): Promise<Position> {
    const name = this.#put({ kind: "marker", marker });
    const { history, order } = this.directory.memory();
    if (this.answerMs === 0) return position(history, order + 1);
    const untilMs = systemClock.monotonicMs() + this.answerMs;
    while (existsSync(name)) {
      if (systemClock.monotonicMs() > untilMs) {
        throw new TailraceError("verify.not-there", {
          what: "The source service has not taken up what it was asked for",
          where: { path: this.directory.source },
        });
      }
      await systemClock.delay(answerEveryMs, this.signal);
    }
    const shown = this.directory.shown();
    return shown === null ? position(history, order + 1) : position(shown.history, shown.order);
  }

  touch(table: TableId, keys: readonly Key[]): Promise<void> {
    if (keys.length > touchedKeysMax) throw new Error(`at most ${touchedKeysMax} keys in one call`);
    this.#known(table);
    this.#put({ kind: "touch", table, keys: keys.map((key) => key.map(keyPartText)) });
    return Promise.resolve();
  }

  reread(tables: readonly TableId[] | null, reread: RereadId): Promise<void> {
    for (const table of tables ?? []) this.#known(table);
    this.#put({ kind: "reread", why: "ask", tables, reread });
    return Promise.resolve();
  }

  refill(tables: readonly TableId[], reread: RereadId): Promise<void> {
    for (const table of tables) this.#known(table);
    this.#put({ kind: "reread", why: "gap", tables, reread });
    return Promise.resolve();
  }

  hold(name: HoldName, from: Position | null, forMs: number): Promise<void> {
    if (from === null) this.directory.release(name);
    else this.directory.hold({ name, history: from.history, order: from.order, untilMs: Date.now() + forMs });
    return Promise.resolve();
  }

  beginAnew(): Promise<void> {
    this.directory.askAnew();
    return Promise.resolve();
  }

  [Symbol.dispose](): void {
    // Nothing is open.
  }

  #put(request: Request): string {
    // The time in front keeps them in order.
    const name = `${Date.now().toString().padStart(15, "0")}-${randomUUID()}.json`;
    const path = join(this.directory.requests, name);
    writeDurably(path, JSON.stringify(request));
    return path;
  }

  #known(table: TableId): void {
    const tables = this.directory.installed()?.tables ?? [];
    if (tables.some(({ description, state }) => description.table === table && state === "captured")) return;
    throw new TailraceError("source.not-applied", { what: `Table '${table}' is not captured`, where: { table } });
  }
}

export interface AskedFor {
  readonly requests: readonly Request[];
  /** They are answered, durably. */
  done(): void;
}

export function readRequests(directory: CaptureDirectory): AskedFor {
  const names = requestNames(directory);
  return {
    requests: names.map((name) => parseRequest(readFileSync(join(directory.requests, name), "utf8"))),
    done: () => {
      for (const name of names) rmSync(join(directory.requests, name), { force: true });
    },
  };
}

export const requestNames = (directory: CaptureDirectory): readonly string[] =>
  readdirSync(directory.requests)
    .filter((name) => name.endsWith(".json"))
    .toSorted();

function parseRequest(text: string): Request {
  const said = JSON.parse(text) as Request;
  switch (said.kind) {
    case "marker":
      return { kind: "marker", marker: markerId(said.marker) };
    case "touch":
      return { kind: "touch", table: tableId(said.table), keys: said.keys };
    case "reread":
      return { ...said, tables: said.tables?.map((table) => tableId(table)) ?? null, reread: rereadId(said.reread) };
  }
}
