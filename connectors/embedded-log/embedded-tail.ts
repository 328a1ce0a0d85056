/**
 * Follows partitions by asking SQLite whether another connection has committed (`data_version`), at the pace of core/file-pace.ts. Holds no records
 * between two calls, so a slow consumer costs no memory, and a seek or pause throws nothing away. Has a connection of its own: `data_version` does not
 * count what the asking connection itself wrote.
 */
import { breathe } from "../../core/clock.js";
import type { LogTail, StoredRecord } from "../../core/contracts/log-store.js";
import { TailraceError } from "../../core/errors.js";
import { FilePace } from "../../core/file-pace.js";
import type { Offset, Topic } from "../../core/vocabulary/ids.js";
import type { Connection, LogFile } from "./log-file.js";
import { readPage } from "./records.js";
import { partitionsOf, type StoredPartition } from "./topics.js";

interface Slot {
  readonly topic: Topic;
  readonly partition: number;
  readonly id: number;
  position: number;
  first: number;
  next: number;
  paused: boolean;
}

const sameFileCheckMs = 100;

export async function openTail(file: LogFile, from: ReadonlyMap<Topic, readonly Offset[]>, signal: AbortSignal): Promise<LogTail> {
  const slots = await file.read((connection) => slotsFrom(connection, from), signal);
  slots.forEach(assertNoGap);
  return new EmbeddedTail(file, slots);
}

class EmbeddedTail implements LogTail {
  readonly #pace: FilePace;
  #version: unknown = null;
  #failure: TailraceError | null = null;
  #turn = 0;
  #lastFileCheckMs: number;

  constructor(
    private readonly file: LogFile,
    private readonly slots: readonly Slot[],
  ) {
    this.#pace = new FilePace({ path: file.path, clock: file.clock, quickForMs: 100, restMs: 20 });
    this.#lastFileCheckMs = file.clock.monotonicMs();
  }

  async next(waitMs: number, signal: AbortSignal): Promise<readonly StoredRecord[] | null> {
    if (this.#failure !== null) throw this.#failure;
    try {
      return await this.#wait(waitMs, signal);
    } catch (error) {
      // Partition ids hold for one file only: after `log.replaced` this tail must not look into the next one.
      if (error instanceof TailraceError) this.#failure = error;
      throw error;
    }
  }

  pause(topic: Topic, partition: number): void {
    this.#slot(topic, partition).paused = true;
  }

  resume(topic: Topic, partition: number): void {
    this.#slot(topic, partition).paused = false;
  }

  async seek(topic: Topic, partition: number, to: Offset): Promise<void> {
    const slot = this.#slot(topic, partition);
    slot.position = to;
    await this.file.read((connection) => this.#look(connection), AbortSignal.timeout(10_000));
    assertNoGap(slot);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#pace[Symbol.dispose]();
    this.file[Symbol.dispose]();
    return Promise.resolve();
  }

  async #wait(waitMs: number, signal: AbortSignal): Promise<readonly StoredRecord[] | null> {
    const { clock } = this.file;
    const deadline = clock.monotonicMs() + waitMs;
    // A consumer that never waits for anything else would keep timers and sockets from their turn.
    await breathe();
    for (;;) {
      signal.throwIfAborted();
      const page = await this.#poll(signal);
      if (page !== null) {
        this.#pace.came();
        return page;
      }
      const leftMs = deadline - clock.monotonicMs();
      if (leftMs <= 0) return null;
      await this.#pace.rest(Math.max(1, leftMs), signal);
    }
  }

  async #poll(signal: AbortSignal): Promise<readonly StoredRecord[] | null> {
    const now = this.file.clock.monotonicMs();
    if (now - this.#lastFileCheckMs >= sameFileCheckMs) {
      this.file.assertSameFile();
      this.#lastFileCheckMs = now;
    }
    if (!this.slots.some(isReady) && this.#isUnmoved(await this.file.connect(signal))) return null;
    return this.file.read((connection) => {
      const [version] = connection.rows("PRAGMA data_version").get() as readonly [number];
      if (this.#version !== version) {
        this.#pace.moved();
        this.#look(connection);
      }
      this.#version = version;
      return this.slots.some(isReady) ? this.#nextPage(connection) : null;
    }, signal);
  }

  /** Asked a thousand times a second: without a transaction of its own. What goes wrong is for `read` to meet and to say. */
  #isUnmoved(connection: Connection): boolean {
    try {
      const [version] = connection.rows("PRAGMA data_version").get() as readonly [number];
      return this.#version === version;
    } catch {
      return false;
    }
  }

  /** Where the partitions begin and end now. */
  #look(connection: Connection): void {
    const rows = connection.rows("SELECT id, first, next FROM partition WHERE topic IS NOT NULL").all() as readonly (readonly [
      number,
      number,
      number,
    ])[];
    const byId = new Map(rows.map((row) => [row[0], row]));
    for (const slot of this.slots) {
      const row = byId.get(slot.id);
      if (row === undefined)
        throw new TailraceError("log.topic-missing", { what: `topic ${slot.topic} was deleted`, where: { topic: slot.topic } });
      [, slot.first, slot.next] = row;
    }
  }

  /** Partitions take turns, so that a busy one does not starve the others. */
  #nextPage(connection: Connection): readonly StoredRecord[] | null {
    for (let step = 0; step < this.slots.length; step++) {
      const slot = this.slots[(this.#turn + step) % this.slots.length];
      if (slot === undefined || !isReady(slot)) continue;
      assertNoGap(slot);
      const page = readPage(connection, slot, { from: slot.position, until: slot.next });
      const last = page.at(-1);
      slot.position = last === undefined ? slot.next : last.offset + 1;
      if (last === undefined) continue;
      this.#turn = (this.#turn + step + 1) % this.slots.length;
      return page;
    }
    return null;
  }

  #slot(topic: Topic, partition: number): Slot {
    const slot = this.slots.find((candidate) => candidate.topic === topic && candidate.partition === partition);
    if (slot === undefined) throw new Error(`partition ${partition} of ${topic} is not followed`);
    return slot;
  }
}

const isReady = (slot: Slot): boolean => !slot.paused && slot.position < slot.next;

function assertNoGap({ topic, partition, position, first }: Slot): void {
  if (position >= first) return;
  throw new TailraceError("log.gap", {
    what: `records of ${topic} from ${position} on are wanted, but it begins at ${first}`,
    where: { topic, partition, wanted: position, first },
  });
}

function slotsFrom(connection: Connection, from: ReadonlyMap<Topic, readonly Offset[]>): readonly Slot[] {
  return [...from].flatMap(([topic, offsets]) => {
    const partitions: readonly StoredPartition[] = partitionsOf(connection, topic);
    if (partitions.length !== offsets.length)
      throw new Error(`${topic} has ${partitions.length} partitions, ${offsets.length} offsets were given`);
    return partitions.map(({ id, number, first, next }): Slot => {
      return { topic, partition: number, id, position: offsets[number] ?? 0, first, next, paused: false };
    });
  });
}
