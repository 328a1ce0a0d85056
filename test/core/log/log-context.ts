/** A log in memory with a codec of JSON lines: what is tested is the protocol, not the wire format. */
import { appliedView } from "../../../core/log/applied-view.js";
import type { Clock } from "../../../core/clock.js";
import { systemClock } from "../../../core/clock.js";
import type {
  AppliedCut,
  AppliedView,
  ChangeDecoder,
  DecodedRecord,
  EncodedPart,
  EncodedRecord,
  LogSession,
  Window,
} from "../../../core/contracts/log.js";
import { TailraceError } from "../../../core/errors.js";
import { Elsewhere } from "../../../core/log/elsewhere.js";
import { CutLogReader } from "../../../core/log/reader.js";
import type { LogReaderOptions, ReaderLimits } from "../../../core/log/reader-options.js";
import { CutLogWriter } from "../../../core/log/writer.js";
import { countedTopics, topicSpecs } from "../../../core/topics.js";
import {
  anchor,
  pipelineId,
  rereadId,
  resumeToken,
  schemaVersion,
  tableId,
  theGroup,
  topic,
  writerEpoch,
  writerId,
} from "../../../core/vocabulary/ids.js";
import { formatPosition, parsePosition, position, type Position } from "../../../core/vocabulary/position.js";
import type { TableDescription } from "../../../core/vocabulary/table.js";
import { MemoryLog } from "../../support/memory-log-store.js";

export const prefix = "shop";
const tables = [tableId("a"), tableId("b")];
export const signal = new AbortController().signal;

const description = (name: string): TableDescription => ({
  table: tableId(name),
  group: theGroup,
  schema: schemaVersion(1),
  columns: [{ name: "id", declaredType: "INTEGER", nullable: false, generated: false, classes: ["integer"] }],
  key: [0],
});
const described = new Map(["a", "b"].map((name) => [name, description(name)]));

interface Line {
  readonly epoch: number;
  readonly at: string;
  readonly table: string;
  readonly id: number | null;
}

const decoder: ChangeDecoder = {
  async decode(records) {
    return records.map((stored): DecodedRecord | null => {
      if (stored.value === null) return null;
      if (stored.value[0] !== "{".charCodeAt(0)) throw new TailraceError("log.garbage", { what: "a record is not ours" });
      const line = JSON.parse(Buffer.from(stored.value).toString()) as Line;
      const table = described.get(line.table) ?? description(line.table);
      const at = parsePosition(line.at);
      const epoch = writerEpoch(line.epoch);
      const bytes = 200 + 3 * stored.value.length;
      if (line.id === null) {
        const chunk = { reread: rereadId("r"), scope: { kind: "range", after: null, upTo: null }, at, rows: [], last: true } as const;
        return { epoch, at, bytes, body: { kind: "chunk", table, chunk } };
      }
      const key = [BigInt(line.id)];
      return { epoch, at, bytes, body: { kind: "change", table, change: { kind: "create", at, key, after: key } } };
    });
  },
};

/** A batch in tests: rows by table, each with its position. */
export interface Rows {
  readonly to: Position;
  readonly rows: readonly (readonly [table: "a" | "b" | "chunk", at: Position])[];
  readonly streaming?: boolean;
  readonly marker?: string;
}

export class LogContext {
  readonly log = new MemoryLog();
  readonly topics = countedTopics(prefix, tables);
  applied: AppliedCut | null = null;
  /** What a writer hears at its beginning. */
  published: () => AppliedView = () => appliedView(this.applied === null ? [] : [this.applied], false);
  /** Records that readers have decoded. */
  decoded = 0;
  /** Before records are decoded. */
  onDecode: () => Promise<void> = async () => {};
  #ids = 0;

  constructor(readonly clock: Clock = systemClock) {}

  async ensure(): Promise<void> {
    await this.log.store().ensure(topicSpecs(prefix, tables), signal);
  }

  writer(name = `w${++this.#ids}`): CutLogWriter {
    return new CutLogWriter({
      store: this.log.store(),
      decoder,
      clock: this.clock,
      prefix,
      pipeline: pipelineId("shop"),
      writer: writerId(name),
      topics: this.topics,
      applied: async () => this.published(),
      newLogId: () => "log-1",
    });
  }

  async session(writer = this.writer(), firstClaim = true): Promise<LogSession> {
    return writer.open({ firstClaim, epochSeen: writerEpoch(0), claiming: async () => {} }, signal);
  }

  reader(limits: Partial<ReaderLimits> = {}, ahead: LogReaderOptions["ahead"] = async () => {}): CutLogReader {
    const store = this.log.store();
    const counting: ChangeDecoder = {
      decode: async (records, until) => {
        this.decoded += records.length;
        await this.onDecode();
        return decoder.decode(records, until);
      },
    };
    return new CutLogReader({ store, decoder: counting, clock: this.clock, prefix, group: theGroup, topics: this.topics, limits, ahead });
  }

  /** Of a group that has one of the two tables. */
  readerOf(table: "a" | "b"): CutLogReader {
    const elsewhere = new Elsewhere(
      prefix,
      tables.filter((other) => other !== table),
    );
    const topics = countedTopics(prefix, [tableId(table)]);
    return new CutLogReader({ store: this.log.store(), decoder, clock: this.clock, prefix, group: theGroup, topics, elsewhere });
  }

  /** Windows until the log is applied up to `until`; the state goes on in `applied`. */
  async apply(until: Position, limits: Partial<ReaderLimits> = {}): Promise<readonly Seen[]> {
    await using reader = this.reader(limits);
    const seen: Seen[] = [];
    for await (const window of reader.windows(this.applied, signal)) {
      seen.push(await look(window));
      this.applied = window.after();
      if (formatPosition(this.applied.position) === formatPosition(until)) break;
    }
    return seen;
  }
}

export interface Seen {
  readonly to: string;
  readonly rows: readonly string[];
  readonly inOrder: readonly string[];
  readonly markers: readonly string[];
}

export async function look(window: Window): Promise<Seen> {
  const rows: string[] = [];
  const inOrder: string[] = [];
  for await (const part of window.parts(signal)) rows.push(...names(part));
  for await (const part of window.inSourceOrder(signal)) inOrder.push(...names(part));
  const markers = window.controls.flatMap((control) => (control.kind === "marker" ? [control.marker] : []));
  return { to: formatPosition(window.after().position), rows, inOrder, markers };
}

function names(part: Parameters<typeof partNames>[0]): readonly string[] {
  return partNames(part);
}
function partNames(part: { readonly kind: "changes" | "chunk" } & Record<string, unknown>): readonly string[] {
  const { table, changes, chunk } = part as unknown as {
    table: TableDescription;
    changes?: readonly { at: Position }[];
    chunk?: { at: Position };
  };
  if (changes !== undefined) return changes.map(({ at }) => `${table.table}@${formatPosition(at)}`);
  return chunk === undefined ? [] : [`chunk@${formatPosition(chunk.at)}`];
}

export function append(session: LogSession, { to, rows, streaming = false, marker }: Rows) {
  const records = rows.map(([table, at]): EncodedRecord => {
    const line: Line = {
      epoch: session.epoch,
      at: formatPosition(at),
      table: table === "chunk" ? "a" : table,
      id: table === "chunk" ? null : at.order,
    };
    const name = table === "chunk" ? "snapshot" : table;
    return { topic: topic(`${prefix}.${name}`), partition: 0, key: null, value: Buffer.from(JSON.stringify(line)), headers: [], counts: 1 };
  });
  async function* parts(): AsyncIterable<EncodedPart> {
    if (marker !== undefined) yield { kind: "control", control: { kind: "marker", marker: marker as never, at: to } };
    yield { kind: "records", records };
  }
  const end = {
    resume: resumeToken(Buffer.from(formatPosition(to))),
    anchor: anchor(Buffer.from(`anchor ${formatPosition(to)}`)),
    phases: new Map([[theGroup, streaming ? ("streaming" as const) : ("snapshot" as const)]]),
  };
  return session.append({ position: to, parts: parts(), end: () => end }, signal);
}

export const at = (order: number, index = 0): Position => position(0, order, index);
