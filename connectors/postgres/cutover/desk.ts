/** Where cutovers of one pipeline are kept: questions of anybody, and the way to hold one. */
import { type Clock, systemClock } from "../../../core/clock.js";
import type {
  CutoverDesk,
  CutoverFacts,
  CutoverSession,
  CutoverStory,
  GivenNumber,
  ReadyPlan,
  RouteState,
} from "../../../core/contracts/cutover.js";
import type { TablePlan } from "../../../core/contracts/plan.js";
import { TailraceError } from "../../../core/errors.js";
import { Secret } from "../../../core/secret.js";
import type { GroupId, PipelineId } from "../../../core/vocabulary/ids.js";
import { Connection } from "../connection.js";
import { type ConnectionSettings, parseConnectionUrl } from "../connection-url.js";
import { withTargetErrors } from "../pg-errors.js";
import { pendingMigrations } from "../state-schema.js";
import { readStoredPlan } from "../stored-plan.js";
import { markAbort, readLast } from "./journal.js";
import { readFacts } from "./facts.js";
import { readReadyPlan, readReturnPlan } from "./ready-plan.js";
import { readRoute } from "./route.js";
import { PostgresCutover } from "./session.js";

export interface DeskOptions {
  readonly url: Secret | string;
  readonly pipeline: PipelineId;
  readonly clock?: Clock;
  /** How long a holder may be silent before its sessions are ended. */
  readonly takeoverMs?: number;
}

export function openCutoverDesk(options: DeskOptions): CutoverDesk {
  const settings = parseConnectionUrl(options.url instanceof Secret ? options.url.reveal() : options.url);
  return new PostgresDesk(settings, options);
}

class PostgresDesk implements CutoverDesk {
  readonly #applicationName: string;

  constructor(
    private readonly settings: ConnectionSettings,
    private readonly options: DeskOptions,
  ) {
    this.#applicationName = `tailrace-cutover/${options.pipeline.replaceAll(/[^ -~]/g, "?")}`.slice(0, 63);
  }

  last(group: GroupId, signal: AbortSignal): Promise<CutoverStory | null> {
    return this.#ask(signal, (connection) => readLast(connection, { pipeline: this.options.pipeline, group }));
  }

  route(group: GroupId, signal: AbortSignal): Promise<RouteState> {
    return this.#ask(signal, (connection) => readRoute(connection, { pipeline: this.options.pipeline, group }));
  }

  readyPlan(group: GroupId, numbers: readonly GivenNumber[], signal: AbortSignal): Promise<ReadyPlan> {
    return this.#ask(signal, async (connection) => readReadyPlan(connection, await this.#tables(connection, group), numbers));
  }

  returnPlan(group: GroupId, signal: AbortSignal): Promise<ReadyPlan> {
    return this.#ask(signal, async (connection) => readReturnPlan(connection, await this.#tables(connection, group)));
  }

  facts(group: GroupId, signal: AbortSignal): Promise<CutoverFacts> {
    const place = { pipeline: this.options.pipeline, group };
    return this.#ask(signal, async (connection) => readFacts(connection, place, await this.#tables(connection, group)));
  }

  askToAbort(group: GroupId, signal: AbortSignal): Promise<boolean> {
    return this.#ask(signal, (connection) => markAbort(connection, { pipeline: this.options.pipeline, group }));
  }

  async take(group: GroupId, holder: string, signal: AbortSignal): Promise<CutoverSession> {
    const { pipeline, clock = systemClock, takeoverMs = 3_000 } = this.options;
    const found = await this.last(group, signal);
    return await withTargetErrors(() =>
      PostgresCutover.take(
        { settings: this.settings, applicationName: this.#applicationName, place: { pipeline, group }, holder, takeoverMs, clock },
        found,
        signal,
      ),
    );
  }

  /** Nothing to release: every question has closed its connection, and a session is its taker's. */
  async [Symbol.asyncDispose](): Promise<void> {}

  async #tables(connection: Connection, group: GroupId): Promise<readonly TablePlan[]> {
    const plan = await readStoredPlan(connection, this.options.pipeline);
    return (plan?.tables ?? []).filter((table) => table.group === group);
  }

  async #ask<T>(signal: AbortSignal, work: (connection: Connection) => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    await using connection = await Connection.open(this.settings, { applicationName: this.#applicationName, pipelined: false });
    return await withTargetErrors(async () => {
      await refuseOldState(connection, this.options.pipeline);
      return await work(connection);
    });
  }
}

/** State of a version that had no cutover, or none at all. */
async function refuseOldState(connection: Connection, pipeline: PipelineId): Promise<void> {
  if ((await pendingMigrations(connection)).length === 0) return;
  throw new TailraceError("plan.missing", { what: "The target's state is not prepared for a cutover", where: { pipeline } });
}
