/** The way back in the hands of one process: the lock with its heartbeat, and a connection for questions. */
import type { Clock } from "../../../core/clock.js";
import type { TableId, WriterEpoch } from "../../../core/vocabulary/ids.js";
import { TailraceError } from "../../../core/errors.js";
import { Connection } from "../connection.js";
import type { ConnectionSettings } from "../connection-url.js";
import { Ownership } from "../ownership.js";
import { readStoredPlan } from "../stored-plan.js";
import { formatLsn, type Lsn } from "./lsn.js";
import type { WayPlace } from "./marker.js";
import type { OpenedTable } from "./relations.js";
import { freeSlot, readSlot, type SlotFigures } from "./slot.js";
import { wayName } from "./way-back.js";
import { readWayState, storeConfirmed, storeWriterEpoch, type WayState } from "./way-state.js";

interface HoldOptions {
  readonly settings: ConnectionSettings;
  readonly place: WayPlace;
  readonly clock: Clock;
}
export type OpenWay = WayState & { readonly start: Lsn };
type LivingSlot = SlotFigures & { readonly slot: NonNullable<SlotFigures["slot"]> };

const takeoverMs = 3_000;
const answerMsMax = 20_000;

export class WayHold implements AsyncDisposable {
  private constructor(
    private readonly options: HoldOptions,
    private readonly connection: Connection,
    private readonly ownership: Ownership,
    readonly way: OpenWay,
    readonly tables: readonly OpenedTable[],
  ) {}

  /** Rejects with `source.way-back-closed` while none is open. */
  static async take(options: HoldOptions, signal: AbortSignal): Promise<WayHold> {
    const { settings, place, clock } = options;
    const applicationName = wayName(place);
    const connection = await Connection.open(settings, { applicationName, pipelined: false, answerMsMax });
    try {
      await openWay(connection, place);
      const ownership = await Ownership.take(
        { settings, applicationName, clock, takeoverMs, place: { ...place, direction: "way-back" } },
        signal,
      );
      ownership.accompany(connection);
      try {
        const way = await openWay(connection, place);
        return new WayHold(options, connection, ownership, way, await openedTables(connection, place, way));
      } catch (thrown) {
        await ownership[Symbol.asyncDispose]();
        throw thrown;
      }
    } catch (thrown) {
      await connection[Symbol.asyncDispose]();
      throw thrown;
    }
  }

  /** Rejects when the slot is gone, or somebody else has it by now. */
  async look(): Promise<LivingSlot> {
    this.ownership.assertHeld();
    const figures = await readSlot(this.connection, this.way.slot);
    const { slot } = figures;
    if (slot === null || slot.isLost) {
      await this.refuseClosed();
      throw new TailraceError("source.slot-lost", {
        what: slot === null ? "The replication slot is gone" : "PostgreSQL has removed the log that the replication slot needs",
        where: { slot: this.way.slot },
      });
    }
    return { ...figures, slot };
  }

  /** Legal before anything is read from the slot: it must not be beyond what was ever confirmed by us. */
  async refuseMoved(): Promise<LivingSlot> {
    const figures = await this.look();
    const state = await openWay(this.connection, this.options.place);
    const limit = state.confirmed ?? state.start;
    if (figures.slot.confirmed <= limit) return figures;
    throw new TailraceError("source.slot-moved", {
      what: "The replication slot is beyond what was confirmed by us",
      where: { slot: state.slot, confirmed: formatLsn(limit), found: formatLsn(figures.slot.confirmed) },
    });
  }

  /** Rejects with `source.way-back-closed` when this opening is over: then its slot is missed by nobody. */
  async refuseClosed(): Promise<void> {
    const { opening } = await openWay(this.connection, this.options.place);
    if (opening !== this.way.opening) throw closed();
  }

  /** Durable before the server hears of it. */
  async confirm(at: Lsn): Promise<void> {
    const open = await storeConfirmed(this.connection, this.options.place, { opening: this.way.opening, lsn: at });
    if (!open) throw closed();
  }

  async storeEpoch(epoch: WriterEpoch): Promise<void> {
    await storeWriterEpoch(this.connection, this.options.place, epoch);
  }

  async freeSlot(): Promise<void> {
    await freeSlot(this.connection, this.way.slot, wayName(this.options.place));
  }

  /** Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.connection[Symbol.asyncDispose]();
    await this.ownership[Symbol.asyncDispose]();
  }
}

async function openWay(connection: Connection, place: WayPlace): Promise<OpenWay> {
  const [row] = await connection.rows<{ there: boolean }>("SELECT to_regclass('tailrace.way_back') IS NOT NULL AS there");
  const state = row?.there === true ? await readWayState(connection, place) : null;
  if (state === null || state.start === null) throw closed();
  return { ...state, start: state.start };
}

async function openedTables(connection: Connection, place: WayPlace, way: OpenWay): Promise<readonly OpenedTable[]> {
  const plan = await readStoredPlan(connection, place.pipeline);
  const columnsOf = (table: TableId): OpenedTable["columns"] => way.columns.get(table) ?? [];
  return (plan?.tables ?? [])
    .filter(({ group, source }) => group === place.group && way.columns.has(source))
    .map((table) => ({ plan: table, columns: columnsOf(table.source) }));
}

const closed = (): TailraceError => new TailraceError("source.way-back-closed", { what: "No way back is open" });
