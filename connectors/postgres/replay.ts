/**
 * A window once more, change by change in source order: what the source could do one after the other, the target can too, unless it has a
 * constraint that the source's rows break. Then the change that breaks it is named.
 *
 * Many changes travel in one go, each as its own statement; deferred constraints still speak at COMMIT only.
 */
import type { Change } from "../../core/contracts/change.js";
import type { Window, WindowPart } from "../../core/contracts/log.js";
import { formatPosition, type Position } from "../../core/vocabulary/position.js";
import { keyOf, type TableDescription } from "../../core/vocabulary/table.js";
import type { Key } from "../../core/vocabulary/value.js";
import type { ApplyContext, Counts } from "./apply-context.js";
import { commit, rollback } from "./commit.js";
import type { Query } from "./connection.js";
import { nameKey } from "../../core/apply/name-key.js";
import { Tally } from "../../core/apply/conservation.js";
import { isPlanned, queriesAfterRows, queriesBeforeRows } from "./controls.js";
import { fenceError, isFenced } from "./fence.js";
import { asTargetError } from "./pg-errors.js";
import { addCountsQuery, advanceQuery, fenceQuery } from "./state.js";
import { filled } from "./table-statements.js";
import type { TargetTable } from "./target-table.js";
import { mergeQueries } from "./write-segments.js";

/** One statement and the change it comes from. */
interface Step {
  readonly query: Query;
  readonly table: TargetTable;
  readonly key: Key | null;
  readonly at: Position;
}

const stepsInOneGo = 500;

export async function replay(context: ApplyContext, window: Window, signal: AbortSignal): Promise<Counts> {
  const { place, epoch, tables, pipelined } = context;
  const tally = new Tally();
  const work = async (): Promise<void> => {
    await pipelined.query("BEGIN");
    await pipelined.query(fenceQuery({ place, epoch, before: window.before }));
    for (const query of queriesBeforeRows(place, tables, window.controls)) await pipelined.query(query);
    let steps: Step[] = [];
    for await (const part of window.inSourceOrder(signal)) {
      for (const step of stepsOf(context, part, tally)) {
        if (steps.push(step) < stepsInOneGo) continue;
        await run(context, steps);
        steps = [];
      }
    }
    await run(context, steps);
    for (const query of queriesAfterRows(place, tables, window.controls)) await pipelined.query(query);
    await pipelined.query(addCountsQuery(place, tally.checked()));
    await pipelined.query(advanceQuery(place, window.after()));
    signal.throwIfAborted();
    await commit(pipelined);
  };
  try {
    await work();
    return tally.checked();
  } catch (thrown) {
    await rollback(pipelined);
    throw isFenced(thrown) ? await fenceError(context, null) : thrown;
  }
}

async function run({ pipelined }: ApplyContext, steps: readonly Step[]): Promise<void> {
  const { failure } = await pipelined.pipeline(steps.map(({ query }) => query));
  if (failure === null) return;
  const step = steps[failure.index];
  if (step === undefined) throw failure.error;
  throw asTargetError(failure.error, {
    table: step.table.plan.source,
    position: formatPosition(step.at),
    ...(step.key === null ? {} : { key: nameKey(step.key) }),
  });
}

function* stepsOf(context: ApplyContext, part: WindowPart, tally: Tally): Generator<Step> {
  const { table: description } = part;
  const table = context.tables.get(description.table);
  if (!isPlanned(context, description.table) || table === undefined) return;
  if (part.kind === "chunk") {
    const { at, scope, rows } = part.chunk;
    const mapped = rows.map((row) => table.mapRow(description, row, at));
    tally.add(description.table, { taken: rows.length, replayed: rows.length });
    for (const query of mergeQueries(table, mapped, table.mapRange(description, scope, at))) yield { query, table, key: null, at };
    return;
  }
  for (const change of part.changes) {
    const steps = stepsOfChange(table, description, change);
    tally.add(description.table, { taken: steps.length, replayed: steps.length });
    yield* steps;
  }
}

function stepsOfChange(table: TargetTable, description: TableDescription, change: Change): readonly Step[] {
  const { at, key } = change;
  const remove = (gone: Key): Step => ({
    query: table.statements.delete(filled(table.statements.keys(), [table.mapKey(description, gone, at)])),
    table,
    key: gone,
    at,
  });
  if (change.kind === "delete") return [remove(key)];
  const { after } = change;
  const row = table.mapRow(description, after, at);
  const born = change.kind === "create" || change.kind === "rekey";
  const write: Step = {
    query: table.statements.upsert(filled(table.statements.rows(), [row]), born),
    table,
    key: keyOf(description, after),
    at,
  };
  return change.kind === "rekey" ? [remove(change.from), write] : [write];
}
