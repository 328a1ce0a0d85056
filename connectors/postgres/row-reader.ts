/**
 * Rows of the target, labelled by the applied cut. Each answer is one statement, and label and rows come from its one snapshot: what is read is
 * exactly what the target held when it had applied that position, however busy the sink is. Nothing is held between statements, so that VACUUM is
 * not kept from its work.
 */
import type { KeyScope } from "../../core/contracts/change.js";
import type { TargetPlan } from "../../core/contracts/plan.js";
import {
  type KeyedDigest,
  type KeyedRow,
  type Labelled,
  type RowName,
  type RowReader,
  rowsByKeyMax,
  type ScopeCut,
  type ScopeDigest,
} from "../../core/contracts/row-reader.js";
import { TailraceError } from "../../core/errors.js";
import { canonicalColumns } from "../../core/mapping/canonical.js";
import type { Secret } from "../../core/secret.js";
import type { GroupId, PipelineId, TableId } from "../../core/vocabulary/ids.js";
import { type Position, position } from "../../core/vocabulary/position.js";
import type { TableDescription } from "../../core/vocabulary/table.js";
import type { Key } from "../../core/vocabulary/value.js";
import { Connection } from "./connection.js";
import { parseConnectionUrl } from "./connection-url.js";
import { withTargetErrors } from "./pg-errors.js";
import { ReadStatements } from "./read-statements.js";
import { quoteText } from "./quote.js";
import { loadTables } from "./target-table.js";

export interface PostgresRowReaderOptions {
  readonly url: Secret | string;
  readonly pipeline: PipelineId;
  /** Whose applied cut labels what is read, where the plan does not say: a table is labelled by its own group's, a position is the least of all. */
  readonly group: GroupId;
  readonly plan: TargetPlan;
  /** The source's tables, whose keys ranges are given in. */
  readonly describe: (table: TableId) => TableDescription;
  /** False: nobody writes, and answers carry no position: after a switch no applied cut speaks of these rows. */
  readonly labelled?: boolean;
}

/** Reads only, on a connection of its own. */
export async function openPostgresRowReader(options: PostgresRowReaderOptions, signal: AbortSignal): Promise<RowReader> {
  const { url, pipeline } = options;
  const settings = parseConnectionUrl(typeof url === "string" ? url : url.reveal());
  signal.throwIfAborted();
  const connection = await Connection.open(settings, {
    applicationName: `tailrace/${pipeline.replaceAll(/[^ -~]/g, "?")} verify`.slice(0, 63),
    pipelined: false,
    settings: { default_transaction_read_only: "on", max_parallel_workers_per_gather: "0" },
  });
  return new Reader(connection, options);
}

interface Label {
  /** Applications were switched over to this side: no applied cut speaks of its rows any more. */
  readonly away: boolean;
  readonly settled: boolean | null;
  readonly history: string | null;
  readonly ord: string | null;
  readonly idx: string | null;
}

class Reader implements RowReader {
  readonly #tables = new Map<TableId, ReadStatements>();

  constructor(
    private readonly connection: Connection,
    private readonly options: PostgresRowReaderOptions,
  ) {}

  async position(signal: AbortSignal): Promise<Position> {
    const [row] = await this.#rows<Label>(`SELECT at.* FROM ${this.#label(null)}`, [], signal);
    return positionOf(row);
  }

  async *scopes(table: TableId, { rowsPerScope, within }: ScopeCut, signal: AbortSignal): AsyncGenerator<KeyScope> {
    const it = await this.#table(table);
    let after: Key | null = within?.after ?? null;
    const end = within?.upTo ?? null;
    for (;;) {
      const from: Key | null = after;
      const { text, values } = it.keyAt({ kind: "range", after: from, upTo: end }, rowsPerScope);
      const [row] = await this.#rows<{ key: string[] }>(text, values, signal);
      const upTo: Key | null = row === undefined ? end : it.names.ofTarget(row.key).key;
      yield { kind: "range", after, upTo };
      if (row === undefined) return;
      after = upTo;
    }
  }

  async digest(table: TableId, scope: KeyScope, signal: AbortSignal): Promise<Labelled<ScopeDigest>> {
    const it = await this.#table(table);
    const { text, values } = it.digest(scope, this.#label(table));
    type Row = Label & { readonly rows: string; readonly high: string | null; readonly low: string | null };
    const [row] = await this.#rows<Row>(text, values, signal);
    const sum = (of: string | null | undefined): bigint => BigInt.asUintN(64, BigInt(of ?? 0));
    return { at: labelOf(row, table), value: { rows: Number(row?.rows ?? 0), high: sum(row?.high), low: sum(row?.low) } };
  }

  async digests(table: TableId, scope: KeyScope, rowsMax: number, signal: AbortSignal): Promise<Labelled<readonly KeyedDigest[]>> {
    const it = await this.#table(table);
    const { text, values } = it.digests(scope, this.#label(table), rowsMax + 1);
    const rows = await this.#rows<Label & { readonly key: string[] | null; readonly digest: string | null }>(text, values, signal);
    if (rows.length > rowsMax) {
      throw new TailraceError("verify.scope-too-large", { what: `A range holds more than ${rowsMax} rows`, where: { table } });
    }
    const value = rows.flatMap(({ key, digest }): readonly KeyedDigest[] => {
      return key === null || digest === null ? [] : [{ ...it.names.ofTarget(key), digest }];
    });
    return { at: labelOf(rows[0], table), value };
  }

  async rowsByKey(table: TableId, keys: readonly Key[], signal: AbortSignal): Promise<Labelled<readonly KeyedRow[]>> {
    if (keys.length > rowsByKeyMax) throw new Error(`at most ${rowsByKeyMax} keys in one call`);
    const it = await this.#table(table);
    const { text, values } = it.byKey(keys, this.#label(table));
    const rows = await this.#rows<Label & { readonly key: string[] | null; readonly cells: (string | null)[] | null }>(
      text,
      values,
      signal,
    );
    const value = rows.flatMap(({ key, cells }): readonly KeyedRow[] => {
      return key === null || cells === null ? [] : [{ kind: "row", ...it.names.ofTarget(key), row: cells }];
    });
    return { at: labelOf(rows[0], table), value };
  }

  async identify(table: TableId, keys: readonly Key[], signal: AbortSignal): Promise<readonly RowName[]> {
    signal.throwIfAborted();
    const { names } = await this.#table(table);
    return keys.map((key) => ({ key, id: names.ofSource(key) }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.connection[Symbol.asyncDispose]();
  }

  /** One row always: before the first window the target has applied nothing. */
  #label(table: TableId | null): string {
    if (this.options.labelled === false) return "(SELECT false AS away, 0 AS history, 0 AS ord, 0 AS idx, true AS settled) AS at";
    const { pipeline, plan } = this.options;
    const asked = table === null ? plan.tables : plan.tables.filter(({ source }) => source === table);
    const groups = asked.length === 0 ? [this.options.group] : [...new Set(asked.map(({ group }) => group))];
    const place = (alias: string): string => `${alias}.pipeline = ${quoteText(pipeline)} AND ${alias}.group_id IN (${groups.join(", ")})`;
    const repaired = `SELECT FROM tailrace.pipeline_table AS s WHERE ${place("s")} AND s.direction = p.direction
        AND s.source = ${quoteText(table ?? "")} AND s.repair IS NOT NULL`;
    const away = `EXISTS (SELECT FROM tailrace.pipeline AS r WHERE ${place("r")} AND r.direction = 'reverse' AND r.active)`;
    return `(SELECT ${away} AS away, min(p.history) AS history, min(p.ord) AS ord, min(p.idx) AS idx,
        bool_and(p.phase = 'streaming' AND NOT EXISTS (${repaired})) AS settled
      FROM tailrace.pipeline AS p WHERE ${place("p")} AND p.active AND p.log_id IS NOT NULL) AS at`;
  }

  async #rows<Row extends object>(text: string, values: readonly unknown[], signal: AbortSignal): Promise<readonly (Row & object)[]> {
    signal.throwIfAborted();
    return await withTargetErrors(() => this.connection.rows<Row & Record<string, unknown>>(text, values));
  }

  async #table(table: TableId): Promise<ReadStatements> {
    const description = this.options.describe(table);
    const known = this.#tables.get(table);
    if (known?.description === description) return known;
    const fresh = await loadReadStatements(this.connection, this.options.plan, description);
    this.#tables.set(table, fresh);
    return fresh;
  }
}

/** Rejects with `verify.differs-in-kind` when the table is not what the plan says. */
export async function loadReadStatements(
  connection: Connection,
  { tables }: TargetPlan,
  description: TableDescription,
): Promise<ReadStatements> {
  const { table } = description;
  const plan = tables.find(({ source }) => source === table);
  if (plan === undefined) throw new TailraceError("verify.differs-in-kind", { what: "The plan has no such table", where: { table } });
  return await withTargetErrors(async () => {
    await refuseOtherTypes(connection, plan);
    const [loaded] = await loadTables(connection, [plan]);
    if (loaded === undefined) throw new Error("a table was asked for and none was loaded");
    return new ReadStatements(loaded, description, canonicalColumns(plan));
  });
}

function positionOf(row: Label | undefined): Position {
  if (row?.away === true) throw new TailraceError("verify.other-direction", { what: "Applications write to PostgreSQL by now" });
  return position(Number(row?.history ?? 0), Number(row?.ord ?? 0), Number(row?.idx ?? 0));
}

function labelOf(row: Label | undefined, table: TableId): Position {
  const at = positionOf(row);
  if (row?.settled === true) return at;
  throw new TailraceError("verify.not-settled", { what: "The table is being copied", where: { table } });
}

/** A column of another type prints its values otherwise: every row would differ, and none of them would be to blame. */
async function refuseOtherTypes(connection: Connection, plan: TargetPlan["tables"][number]): Promise<void> {
  const rows = await connection.rows<{ name: string; type: string }>(
    `SELECT a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type
     FROM pg_attribute AS a JOIN pg_class AS t ON t.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = t.relnamespace
     WHERE n.nspname = $1 AND t.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped`,
    [plan.target.schema, plan.target.name],
  );
  const types = new Map(rows.map(({ name, type }) => [name, type]));
  const faults = plan.columns.flatMap(({ target, type }) => {
    const there = types.get(target);
    if (there === undefined) return [`column '${target}' is missing`];
    return there === type ? [] : [`column '${target}' is ${there}, the plan says ${type}`];
  });
  if (faults.length === 0) return;
  throw new TailraceError("verify.differs-in-kind", {
    what: rows.length === 0 ? "The target table is gone" : `The target table does not match the plan: ${faults.join("; ")}`,
    where: { table: plan.source, target: `${plan.target.schema}.${plan.target.name}` },
  });
}
