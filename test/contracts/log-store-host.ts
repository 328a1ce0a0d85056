/** What tests of log stores are made of: where a store lives, random topics, numbered records, ways to read them. */
import { randomBytes } from "node:crypto";
import { expect } from "vitest";
import type { LogAppender, LogStore, LogTail, OutgoingRecord, StoredRecord, TopicSpec } from "../../core/contracts/log-store.js";
import { TailraceError } from "../../core/errors.js";
import { type Offset, offset, type Topic, topic } from "../../core/vocabulary/ids.js";

export interface LogStoreHost {
  /** A client of the same store each time; the test disposes it. */
  open(): Promise<LogStore>;
  /** Records and bytes that a tail holds in memory for a consumer that does not ask; null: it never holds any. */
  held(tail: LogTail): { readonly records: number; readonly bytes: number } | null;
  /** Appends `count` records, one by one, from another process; resolves when it has ended well. */
  writeFromAnotherProcess(topic: Topic, count: number): Promise<void>;
  /** Makes the oldest records go away, as retention or a trim would. */
  forgetBelow(store: LogStore, topic: Topic, below: number): Promise<void>;
}

export const patience = (): AbortSignal => AbortSignal.timeout(45_000);
export const randomTopic = (): Topic => topic(`t${randomBytes(6).toString("hex")}.rows`);
export const spec = (name: Topic, more: Partial<TopicSpec> = {}): TopicSpec => ({ topic: name, partitions: 1, cleanup: "delete", ...more });
export const record = (name: Topic, text: string, more: Partial<OutgoingRecord> = {}): OutgoingRecord => ({
  topic: name,
  partition: 0,
  key: Buffer.from(`key ${text}`),
  value: Buffer.from(text),
  headers: [],
  ...more,
});
export const numbered = (name: Topic, from: number, count: number): readonly OutgoingRecord[] =>
  Array.from({ length: count }, (_, index) => record(name, String(from + index)));
export const text = (stored: { readonly value: Uint8Array | null }): string => Buffer.from(stored.value ?? []).toString();
export const at = (...numbers: readonly number[]): readonly Offset[] => numbers.map(offset);

export async function scanAll(
  store: LogStore,
  name: Topic,
  from = 0,
  until = Number.MAX_SAFE_INTEGER,
  partition = 0,
): Promise<StoredRecord[]> {
  const records: StoredRecord[] = [];
  const range = { from: offset(from), until: offset(until) };
  for await (const page of store.scan(name, partition, range, patience())) records.push(...page);
  return records;
}

/** Takes pages until `count` records are there. */
export async function take(tail: LogTail, count: number): Promise<StoredRecord[]> {
  const records: StoredRecord[] = [];
  const signal = patience();
  while (records.length < count) records.push(...((await tail.next(1_000, signal)) ?? []));
  return records;
}

export async function rejection(promise: Promise<unknown>): Promise<TailraceError> {
  const thrown = await promise.then(
    () => null,
    (error: unknown) => error,
  );
  if (!(thrown instanceof TailraceError)) expect.fail(`expected a TailraceError, got ${String(thrown)}`);
  return thrown;
}

export async function withTopic<T>(
  host: LogStoreHost,
  work: (store: LogStore, name: Topic, appender: LogAppender) => Promise<T>,
): Promise<T> {
  const name = randomTopic();
  await using store = await host.open();
  await store.ensure([spec(name)], patience());
  try {
    await using appender = await store.appender(patience());
    return await work(store, name, appender);
  } finally {
    await store.destroy([name], patience());
  }
}
