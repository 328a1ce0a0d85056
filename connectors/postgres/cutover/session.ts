/**
 * A cutover in the hands of one operator: a lock of its own with a heartbeat, as a sink holds its tables, and a token that every write of ours names.
 * The lock says who may begin; the token alone decides what can still be written by somebody who was stopped and is continued.
 */
import type { Clock } from "../../../core/clock.js";
import type { CutoverRecord, CutoverSession, GivenNumber, MoveDetails, OpenSwitch, SwitchBoard } from "../../../core/contracts/cutover.js";
import type { TablePlan } from "../../../core/contracts/plan.js";
import type { LeftOut, Passed } from "../../../core/contracts/target.js";
import { type CutoverState, isFinished, isLegalMove, sidesOf } from "../../../core/cutover/states.js";
import { TailraceError } from "../../../core/errors.js";
import type { GroupId } from "../../../core/vocabulary/ids.js";
import { Connection } from "../connection.js";
import type { ConnectionSettings } from "../connection-url.js";
import { Ownership } from "../ownership.js";
import { asTargetError, withTargetErrors } from "../pg-errors.js";
import { readPassed } from "../state.js";
import { readStoredPlan } from "../stored-plan.js";
import { readGivenNumbers } from "./given-numbers.js";
import { assertHeld, type Held, insertCutover, moveCutover, readAbortAsked, takeUnfinished } from "./journal.js";
import { connectSwitch, openSwitch } from "./open-switch.js";
import type { RoutePlace } from "./place.js";
import { readReadyPlan, readReturnPlan, readWaitingIndexes } from "./ready-plan.js";
import { ensureRoute, type Mover, pauseRoute, reopenRoute, settledRoute } from "./route.js";

export interface SessionOptions {
  readonly settings: ConnectionSettings;
  readonly applicationName: string;
  readonly place: RoutePlace;
  readonly holder: string;
  readonly takeoverMs: number;
  readonly clock: Clock;
}
interface Ours {
  readonly held: Held;
  readonly record: CutoverRecord;
}

export class PostgresCutover implements CutoverSession {
  readonly board: SwitchBoard;
  /** For the switch: connecting takes longer than most of what is done while writes wait. */
  #spare: Connection | null = null;

  private constructor(
    private readonly options: SessionOptions,
    private readonly ownership: Ownership,
    private readonly plain: Connection,
    private readonly tables: readonly TablePlan[],
    private ours: Ours | null,
  ) {
    this.board = {
      route: (group) => this.#ask(() => settledRoute(this.plain, this.#placeOf(group))),
      pause: (group, from) => this.#ask(() => pauseRoute(this.plain, this.#mover(group), from)),
      reopen: (group, from) => this.#ask(() => reopenRoute(this.plain, this.#mover(group), from, sidesOf(this.#mine().record.kind).to)),
      begin: (group, side, numbers, signal) => this.#begin({ group, side, numbers }, signal),
    };
  }

  /** `found`: what is stored, for the words of a refusal. */
  static async take(options: SessionOptions, found: CutoverRecord | null, signal: AbortSignal): Promise<PostgresCutover> {
    const { settings, applicationName, place, takeoverMs, clock } = options;
    const owned = { settings, applicationName, takeoverMs, clock, place: { ...place, direction: "cutover" } } as const;
    const held: AsyncDisposable[] = [];
    try {
      const ownership = await Ownership.take(owned, signal).catch((thrown: unknown) => {
        throw isStandingBy(thrown) ? heldBy(found, options) : thrown;
      });
      held.push(ownership);
      const plain = await Connection.open(settings, { applicationName, pipelined: false });
      held.push(plain);
      await ensureRoute(plain, place);
      const plan = await readStoredPlan(plain, place.pipeline);
      const tables = (plan?.tables ?? []).filter((table) => table.group === place.group);
      const ours = await takeUnfinished(plain, place, options.holder);
      return new PostgresCutover(options, ownership, plain, tables, ours);
    } catch (thrown) {
      for (const resource of held.reverse()) await resource[Symbol.asyncDispose]();
      throw thrown;
    }
  }

  get record(): CutoverRecord | null {
    return this.ours?.record ?? null;
  }

  async begin(cutover: Parameters<CutoverSession["begin"]>[0]): Promise<CutoverRecord> {
    if (this.ours !== null) throw new TailraceError("internal", { what: "a cutover is begun while another one is unfinished" });
    this.ours = await this.#ask(() => insertCutover(this.plain, this.options.place, { ...cutover, holder: this.options.holder }));
    return this.ours.record;
  }

  async move(to: CutoverState, details: MoveDetails = {}): Promise<CutoverRecord> {
    const { held, record } = this.#mine();
    if (!isLegalMove(record.state, to, record.kind)) {
      throw new TailraceError("internal", { what: `a cutover does not go from '${record.state}' to '${to}'` });
    }
    const moved = await this.#ask(() => moveCutover(this.plain, { held, from: record.state, to }, details));
    this.ours = isFinished(to) ? null : { held, record: moved };
    return moved;
  }

  abortAsked(): Promise<boolean> {
    const { held } = this.#mine();
    return this.#ask(() => readAbortAsked(this.plain, held));
  }

  passed(): Promise<Passed | null> {
    const { pipeline, group } = this.options.place;
    return this.#ask(() => readPassed(this.plain, pipeline, group));
  }

  async prepare(numbers: readonly GivenNumber[], signal: AbortSignal): Promise<readonly string[]> {
    const { before } =
      this.#mine().record.kind === "rollback"
        ? await this.#ask(() => readReturnPlan(this.plain, this.tables))
        : await this.#ask(() => readReadyPlan(this.plain, this.tables, numbers));
    for (const statement of before) {
      signal.throwIfAborted();
      await this.#ask(() => this.plain.query(statement)).catch((thrown: unknown) => {
        throw notBuilt(thrown, statement);
      });
    }
    this.#spare ??= await this.#connectSwitch();
    return before;
  }

  async unprepare(signal: AbortSignal): Promise<readonly string[]> {
    const waiting = await this.#ask(() => readWaitingIndexes(this.plain, this.tables));
    const statements = waiting.map((name) => `DROP INDEX CONCURRENTLY IF EXISTS ${name}`);
    for (const statement of statements) {
      signal.throwIfAborted();
      await this.#ask(() => this.plain.query(statement));
    }
    return statements;
  }

  given(): Promise<readonly GivenNumber[]> {
    const { held, record } = this.#mine();
    return this.#ask(async () => {
      const numbers = await readGivenNumbers(this.plain, this.tables);
      await assertHeld(this.plain, held, record.state);
      return numbers;
    });
  }

  async validate(signal: AbortSignal): Promise<readonly LeftOut[]> {
    const isRollback = this.#mine().record.kind === "rollback";
    const { after } = await this.#ask(() =>
      isRollback ? readReturnPlan(this.plain, this.tables) : readReadyPlan(this.plain, this.tables, []),
    );
    const failed: LeftOut[] = [];
    for (const statement of after) {
      signal.throwIfAborted();
      try {
        await this.#ask(() => this.plain.query(statement));
      } catch (thrown) {
        if (!(thrown instanceof TailraceError) || thrown.verdict !== "stop") throw thrown;
        failed.push({ object: statement, why: thrown.message });
      }
    }
    return failed;
  }

  /** Idempotent. The lock goes last. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#spare?.[Symbol.asyncDispose]();
    this.#spare = null;
    await this.plain[Symbol.asyncDispose]();
    await this.ownership[Symbol.asyncDispose]();
  }

  async #begin(
    { group, side, numbers }: { readonly group: GroupId; readonly side: "source" | "target"; readonly numbers: readonly GivenNumber[] },
    signal: AbortSignal,
  ): Promise<OpenSwitch> {
    const { held, record } = this.#mine();
    const { tables } = this;
    const onSwitched = (): void => {
      this.ours = { held, record: { ...record, state: "switched" } };
    };
    const place = this.#placeOf(group);
    const spare = this.#spare;
    this.#spare = null;
    return await this.#ask(async () => {
      const connection = spare === null || spare.lost() !== null ? await this.#connectSwitch() : spare;
      return await openSwitch(connection, { place, held, side, tables, numbers, onSwitched }, signal);
    });
  }

  #connectSwitch(): Promise<Connection> {
    return connectSwitch(this.options.settings, this.options.applicationName);
  }

  #mover(group: GroupId): Mover {
    return { place: this.#placeOf(group), held: this.#mine().held };
  }

  #placeOf(group: GroupId): RoutePlace {
    return { pipeline: this.options.place.pipeline, group };
  }

  #mine(): Ours {
    if (this.ours === null) throw new TailraceError("internal", { what: "there is no unfinished cutover in this session" });
    return this.ours;
  }

  #ask<T>(work: () => Promise<T>): Promise<T> {
    this.ownership.assertHeld();
    return withTargetErrors(work);
  }
}

const isStandingBy = (thrown: unknown): boolean => thrown instanceof TailraceError && thrown.code === "target.standing-by";

function heldBy(found: CutoverRecord | null, { place }: SessionOptions): TailraceError {
  const isUnfinished = found !== null && found.finishedAt === null;
  return new TailraceError("cutover.held", {
    what: isUnfinished ? `${found.holder} holds the cutover since ${found.heldSince}` : "Somebody else is about to begin a cutover",
    where: { pipeline: place.pipeline, ...(isUnfinished ? { cutover: found.id, state: found.state } : {}) },
  });
}

function notBuilt(thrown: unknown, statement: string): unknown {
  const error = asTargetError(thrown);
  if (!(error instanceof TailraceError) || error.verdict !== "stop") return error;
  return new TailraceError("cutover.not-ready", { what: `${error.message} (${statement})`, where: error.where, cause: error });
}
