/**
 * One window, one transaction of the file.
 *
 * Rows are looked at and staged as the parts come, with the file open, and written when the window has ended: so the order in which parts come does not
 * matter to the file's constraints, and nothing that the file holds is read twice. Whatever fails before leaves nothing; a COMMIT of a file is never
 * undecided for its owner, who is the only one that can have it open.
 */
import type { Folded } from "../../../core/apply/fold.js";
import { Tally } from "../../../core/apply/conservation.js";
import { whyFenced } from "../../../core/apply/why-fenced.js";
import { type ChunkSegment, OutOfOrder, type Segment, WindowBuffer } from "../../../core/apply/window-buffer.js";
import type { AppliedCut, Window, WindowPart } from "../../../core/contracts/log.js";
import type { Conservation } from "../../../core/contracts/target.js";
import { passing } from "../../../core/crash-points.js";
import { TailraceError } from "../../../core/errors.js";
import { appliedCutFromJson, appliedCutToJson } from "../../../core/log/applied-cut-json.js";
import { type GroupId, type OwnerEpoch, ownerEpoch, type TableId } from "../../../core/vocabulary/ids.js";
import { comparePositions, formatPosition, type Position } from "../../../core/vocabulary/position.js";
import { keyOf } from "../../../core/vocabulary/table.js";
import type { Key } from "../../../core/vocabulary/value.js";
import type { Json } from "../column-type.js";
import type { Apply, FileState, Staged, Texts } from "./apply.js";
import type { FileTable, Told } from "./file-table.js";

export interface ApplyContext {
  readonly group: GroupId;
  readonly epoch: OwnerEpoch;
  /** In plan order. */
  readonly tables: ReadonlyMap<TableId, FileTable>;
  /** Tables of an earlier plan: what the log still says of them is nobody's any more. */
  readonly former: ReadonlySet<TableId>;
  readonly engine: Pick<Apply, "look" | "stage" | "clear" | "commit" | "abandon">;
  /** Opens the file, when nobody else has it. */
  readonly begin: (signal: AbortSignal) => Promise<FileState>;
}
type Counts = ReadonlyMap<TableId, Conservation>;
type Segments = ReadonlyMap<TableId, readonly Segment[]>;
type Parts = (signal: AbortSignal) => AsyncIterable<WindowPart>;

interface Put {
  readonly key: Key;
  readonly texts: Texts;
  /** null: the row is gone. */
  readonly told: Told | null;
  readonly base: Texts | null;
  readonly at: Position;
}

export async function applyWindow(context: ApplyContext, window: Window, signal: AbortSignal): Promise<Counts> {
  try {
    return await apply(context, window, (s) => window.parts(s), signal);
  } catch (thrown) {
    if (!(thrown instanceof OutOfOrder)) throw thrown;
    return await apply(context, window, (s) => window.inSourceOrder(s), signal);
  }
}

async function apply(context: ApplyContext, window: Window, parts: Parts, signal: AbortSignal): Promise<Counts> {
  const buffer = new WindowBuffer(window.before?.position ?? null);
  const open = new OpenWindow(context, window);
  try {
    for await (const part of parts(signal)) {
      if (!isPlanned(context, part.table.table)) continue;
      buffer.add(part);
      if (buffer.isFull) await open.write(buffer.take(), signal);
    }
    signal.throwIfAborted();
    return await open.end(buffer.take(), signal);
  } finally {
    await open.abandon();
  }
}

class OpenWindow {
  #isOpen = false;
  readonly #tally = new Tally();

  constructor(
    private readonly context: ApplyContext,
    private readonly window: Window,
  ) {}

  async write(segments: Segments, signal: AbortSignal): Promise<void> {
    await this.#open(null, signal);
    await this.#rows(segments);
    passing("sink.rows-part");
  }

  async end(segments: Segments, signal: AbortSignal): Promise<Counts> {
    const after = refuseBackwards(this.window);
    await this.#open(after, signal);
    await this.#rows(segments);
    signal.throwIfAborted();
    const counts = this.#tally.checked();
    const { controls } = this.window;
    const repairs = (step: "begins" | "ends"): readonly string[] =>
      controls.flatMap((it) => (it.kind === "repair" && it.step === step ? [it.table] : []));
    passing("sink.commit-before");
    await this.context.engine.commit({
      epoch: this.context.epoch,
      group: this.context.group,
      cut: appliedCutToJson(after),
      marker: controls.flatMap((it) => (it.kind === "marker" ? [it.marker] : [])).at(-1) ?? null,
      counts: [...counts].map(([table, n]) => ({
        table,
        counts: [n.taken, n.folded, n.applied, n.filtered, n.quarantined, n.replayed],
      })),
      begun: repairs("begins"),
      ended: repairs("ends"),
    });
    this.#isOpen = false;
    passing("sink.commit-done");
    return counts;
  }

  async abandon(): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    // What kept the engine from going on is what is told; an engine that is over has let go of everything.
    await this.context.engine.abandon().catch(() => {});
  }

  /** `after`: where the window leads, when that is known. */
  async #open(after: AppliedCut | null, signal: AbortSignal): Promise<void> {
    if (this.#isOpen) return;
    const state = await this.context.begin(signal);
    this.#isOpen = true;
    passing("sink.begun");
    refuseFenced(this.context.epoch, this.window.before, after, state);
    passing("sink.fenced");
  }

  async #rows(segments: Segments): Promise<void> {
    for (const [id, table] of this.context.tables) {
      for (const segment of segments.get(id) ?? []) {
        if (segment.kind === "chunks") {
          const rows = await this.#replace(table, segment);
          this.#tally.add(id, { taken: rows, applied: rows });
        } else {
          const { fold } = segment;
          const puts = [...fold.entries()].map((entry) => putOf(table, entry));
          await this.#stage(table, puts);
          this.#tally.add(id, { taken: fold.taken, folded: fold.folded, applied: puts.length });
        }
      }
    }
  }

  async #replace(table: FileTable, { table: description, scope, at, chunks }: ChunkSegment): Promise<number> {
    const end = (key: Key | null): Texts | null => (key === null ? null : table.keyTexts(description, key, at));
    await this.context.engine.clear({ table: table.applied.number, after: end(scope.after), upTo: end(scope.upTo) });
    const puts = chunks.flat().map((row): Put => {
      const key = keyOf(description, row);
      return { key, texts: table.keyTexts(description, key, at), told: table.told(description, row, { key, at }), base: null, at };
    });
    await this.#stage(table, puts);
    return puts.length;
  }

  async #stage(table: FileTable, puts: readonly Put[]): Promise<void> {
    if (puts.length === 0) return;
    const { engine } = this.context;
    const { number } = table.applied;
    const keys = puts.map(({ texts, base }) => ({ key: texts, base }));
    const looked = JSON.parse(await engine.look({ table: number, keys })) as readonly Looked[];
    const rows = puts.map((put, n): Staged => {
      const [, there = null, base = null] = looked[n] ?? [];
      if (put.told === null) return { n, op: "delete", set: [], values: [] };
      if (put.base !== null) return { n, op: "move", ...table.whole(put.told, base, put) };
      return { n, op: "put", ...(there === null ? table.whole(put.told, null, put) : table.changed(put.told, there, put)) };
    });
    const others = JSON.parse(await engine.stage({ table: number, rows })) as readonly (readonly [number, number, Json])[];
    for (const [n, place, stored] of others) {
      const put = puts[n];
      if (put?.told !== undefined && put.told !== null) table.refuseOther(place, stored, put.told, put);
    }
  }
}

type Looked = readonly [n: number, there: readonly Json[] | null, base: readonly Json[] | null];

function putOf(table: FileTable, { table: description, key, told, movedFrom, at }: Folded): Put {
  return {
    key,
    texts: table.keyTexts(description, key, at),
    told: told === null ? null : table.told(description, told.after, { key, at }),
    base: told === null || movedFrom === null ? null : table.keyTexts(description, movedFrom, at),
    at,
  };
}

function refuseFenced(epoch: OwnerEpoch, before: AppliedCut | null, after: AppliedCut | null, { epoch: newest, cut }: FileState): void {
  const applied = cut === null ? null : appliedCutFromJson(cut);
  const isSame =
    before === null || applied === null
      ? before === applied
      : before.logId === applied.logId && comparePositions(before.position, applied.position) === 0;
  if (isSame && newest === epoch) return;
  throw whyFenced({ epoch, after, state: { epoch: ownerEpoch(newest), active: true, applied } });
}

function isPlanned({ tables, former }: ApplyContext, table: TableId): boolean {
  if (tables.has(table)) return true;
  if (former.has(table)) return false;
  throw new TailraceError("plan.changed", { what: "The log has changes of a table that the plan lacks", where: { table } });
}

function refuseBackwards(window: Window): AppliedCut {
  const after = window.after();
  if (window.before !== null && comparePositions(after.position, window.before.position) < 0) {
    const where = { position: formatPosition(after.position), applied: formatPosition(window.before.position) };
    throw new TailraceError("target.applied-backwards", { what: "The window ends below the applied position", where });
  }
  return after;
}
