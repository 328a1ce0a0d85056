/** Verification's memory as rows of schema `tailrace`. One connection; each note is one transaction. */
import type {
  ChunkProof,
  Progress,
  RunKind,
  RunNumber,
  RunRecord,
  RunState,
  StoredChunk,
  StoredMismatch,
  TableResult,
  VerificationStore,
} from "../../core/contracts/verification.js";
import { TailraceError } from "../../core/errors.js";
import type { Secret } from "../../core/secret.js";
import { type GroupId, type PipelineId, type TableId, tableId } from "../../core/vocabulary/ids.js";
import { keyFromJson, keyToJson } from "../../core/vocabulary/key-json.js";
import { type Position, position } from "../../core/vocabulary/position.js";
import { Connection } from "./connection.js";
import { parseConnectionUrl } from "./connection-url.js";
import { withTargetErrors } from "./pg-errors.js";

export interface VerificationStoreOptions {
  readonly url: Secret | string;
  readonly pipeline: PipelineId;
  readonly group: GroupId;
}

/** Rejects with `plan.changed` when the state in the target is older than verification. */
export async function openVerificationStore(options: VerificationStoreOptions, signal: AbortSignal): Promise<VerificationStore> {
  const { url, pipeline } = options;
  signal.throwIfAborted();
  const settings = parseConnectionUrl(typeof url === "string" ? url : url.reveal());
  const connection = await Connection.open(settings, { applicationName: "tailrace verify state", pipelined: false });
  const [row] = await connection.rows<{ there: boolean }>("SELECT to_regclass('tailrace.verification_run') IS NOT NULL AS there");
  if (row?.there === true) return new Store(connection, options);
  await connection[Symbol.asyncDispose]();
  throw new TailraceError("plan.changed", { what: "The target does not hold the tables of verification yet", where: { pipeline } });
}

const runsKept = 1_500;

/**
 * Behind a switch, changes flow the other way: positions mean something else, and what was compared before holds no more. Nor does it where the way back was
 * opened anew since: something was missed in between.
 */
const lastSwitch = `greatest((SELECT max(s.began_at) FROM tailrace.cutover AS c JOIN tailrace.cutover_step AS s ON s.cutover_id = c.id
         WHERE c.pipeline = $1 AND c.group_id = $2 AND s.step = 'switched'),
         (SELECT w.changed_at FROM tailrace.way_back AS w JOIN tailrace.pipeline AS p USING (pipeline, group_id)
         WHERE w.pipeline = $1 AND w.group_id = $2 AND p.direction = 'reverse' AND p.active), '-infinity')`;

interface At {
  readonly history: string;
  readonly ord: string;
  readonly idx: string;
}

class Store implements VerificationStore {
  constructor(
    private readonly connection: Connection,
    private readonly options: VerificationStoreOptions,
  ) {}

  async begin(
    start: { readonly kind: RunKind; readonly whole: boolean; readonly since: Position; readonly tables: readonly TableId[] },
    signal: AbortSignal,
  ): Promise<RunNumber> {
    const { pipeline, group } = this.options;
    const tables = start.tables.map((table) => ({ ...noResult, table }));
    const at = partsOf(start.since);
    await this.#rows(
      `UPDATE tailrace.verification_run SET state = 'stopped', error = 'applications were switched over', ended_at = now()
       WHERE pipeline = $1 AND group_id = $2 AND state = 'running' AND started_at < ${lastSwitch}`,
      [pipeline, group],
      signal,
    );
    const rows = await this.#rows<{ run: string }>(
      `INSERT INTO tailrace.verification_run (pipeline, group_id, kind, state, whole, since_history, since_ord, since_idx, history, ord, idx, tables)
       VALUES ($1, $2, $3, 'running', $4, $5, $6, $7, $5, $6, $7, $8) RETURNING run`,
      [pipeline, group, start.kind, start.whole, ...at, JSON.stringify(tables)],
      signal,
    );
    return Number(rows[0]?.run) as RunNumber;
  }

  async note(run: RunNumber, progress: Progress, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    await withTargetErrors(async () => {
      await this.connection.query("BEGIN");
      try {
        await this.#note(run, progress);
        await this.connection.query("COMMIT");
      } catch (thrown) {
        if (this.connection.lost() === null) await this.connection.query("ROLLBACK");
        throw thrown;
      }
    });
  }

  async end(
    run: RunNumber,
    { state, error }: { readonly state: RunState; readonly error: string | null },
    signal: AbortSignal,
  ): Promise<void> {
    await this.#rows(
      "UPDATE tailrace.verification_run SET state = $2, error = $3, ended_at = now(), noted_at = now() WHERE run = $1",
      [run, state, error],
      signal,
    );
    // Ranges of older runs are of no more use once a newer whole run has ended; their rows in verification_run stay for about a day of the service.
    if (state !== "done") return;
    const { pipeline, group } = this.options;
    await this.#rows(
      "DELETE FROM tailrace.verification_run WHERE pipeline = $1 AND group_id = $2 AND run < $3 AND state <> 'running'",
      [pipeline, group, run - runsKept],
      signal,
    );
    await this.#rows(
      `DELETE FROM tailrace.verification_chunk AS c USING tailrace.verification_run AS r, tailrace.verification_run AS newest
       WHERE c.run = r.run AND r.pipeline = $1 AND r.group_id = $2 AND r.run < newest.run AND newest.run = $3 AND newest.whole AND r.state <> 'running'`,
      [pipeline, group, run],
      signal,
    );
  }

  async runs(limit: number, signal: AbortSignal): Promise<readonly RunRecord[]> {
    type Row = At & {
      run: string;
      kind: RunKind;
      state: RunState;
      whole: boolean;
      since: At;
      started: number;
      ended: number | null;
      error: string | null;
      tables: readonly TableResult[];
    };
    const rows = await this.#rows<Row>(
      `SELECT run, kind, state, whole, history, ord, idx, error, tables, extract(epoch FROM started_at)::float8 * 1000 AS started,
         extract(epoch FROM ended_at)::float8 * 1000 AS ended,
         json_build_object('history', since_history, 'ord', since_ord, 'idx', since_idx) AS since
       FROM tailrace.verification_run WHERE pipeline = $1 AND group_id = $2 AND started_at >= ${lastSwitch} ORDER BY run DESC LIMIT $3`,
      [this.options.pipeline, this.options.group, limit],
      signal,
    );
    return rows.map((row) => ({
      run: Number(row.run) as RunNumber,
      kind: row.kind,
      state: row.state,
      whole: row.whole,
      since: atOf(row.since),
      proven: atOf(row),
      startedMs: row.started,
      endedMs: row.ended,
      error: row.error,
      tables: row.tables,
    }));
  }

  async chunks(run: RunNumber, signal: AbortSignal): Promise<readonly StoredChunk[]> {
    type Row = At & {
      source: string;
      number: number;
      after_key: unknown;
      up_to_key: unknown;
      rows: string;
      state: ChunkProof["state"];
      age: number;
    };
    const rows = await this.#rows<Row>(
      `SELECT source, number, after_key, up_to_key, rows, state, history, ord, idx, extract(epoch FROM now() - read_at)::float8 * 1000 AS age
       FROM tailrace.verification_chunk WHERE run = $1 ORDER BY source, number`,
      [run],
      signal,
    );
    const keyOf = (json: unknown) => (json === null ? null : keyFromJson(json));
    return rows.map((row) => ({
      table: tableId(row.source),
      number: row.number,
      scope: { kind: "range", after: keyOf(row.after_key), upTo: keyOf(row.up_to_key) },
      rows: Number(row.rows),
      state: row.state,
      at: atOf(row),
      ageMs: Math.max(0, row.age),
    }));
  }

  async ages(run: RunNumber, signal: AbortSignal): Promise<ReadonlyMap<TableId, number>> {
    const rows = await this.#rows<{ source: string; age: number }>(
      `SELECT source, extract(epoch FROM now() - min(read_at))::float8 * 1000 AS age
       FROM tailrace.verification_chunk WHERE run = $1 GROUP BY source`,
      [run],
      signal,
    );
    return new Map(rows.map(({ source, age }) => [tableId(source), Math.max(0, age)]));
  }

  async openMismatches(signal: AbortSignal): Promise<number> {
    const [row] = await this.#rows<{ n: string }>(
      `SELECT count(*) AS n FROM tailrace.verification_mismatch WHERE pipeline = $1 AND group_id = $2 AND state IN ('open', 'asked')`,
      [this.options.pipeline, this.options.group],
      signal,
    );
    return Number(row?.n ?? 0);
  }

  async mismatches(
    of: { readonly table: TableId | null; readonly limit: number },
    signal: AbortSignal,
  ): Promise<readonly StoredMismatch[]> {
    type Row = At & {
      mismatch: string;
      source: string;
      key_hash: string;
      key: unknown;
      kind: StoredMismatch["kind"];
      columns: string[];
      why: string | null;
      state: StoredMismatch["state"];
      found: number;
    };
    const rows = await this.#rows<Row>(
      `SELECT mismatch, source, key_hash, key, kind, columns, why, state, history, ord, idx, extract(epoch FROM found_at)::float8 * 1000 AS found
       FROM tailrace.verification_mismatch
       WHERE pipeline = $1 AND group_id = $2 AND state IN ('open', 'asked') AND ($3::text IS NULL OR source = $3) ORDER BY mismatch LIMIT $4`,
      [this.options.pipeline, this.options.group, of.table, of.limit],
      signal,
    );
    return rows.map((row) => ({
      number: Number(row.mismatch),
      table: tableId(row.source),
      key: keyFromJson(row.key),
      id: row.key_hash,
      kind: row.kind,
      columns: row.columns,
      why: row.why,
      state: row.state,
      at: atOf(row),
      foundMs: row.found,
    }));
  }

  async asked(numbers: readonly number[], signal: AbortSignal): Promise<void> {
    await this.#rows(
      "UPDATE tailrace.verification_mismatch SET state = 'asked', asked_at = now() WHERE mismatch = ANY ($1::bigint[]) AND state = 'open'",
      [numbers],
      signal,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.connection[Symbol.asyncDispose]();
  }

  async #note(run: RunNumber, { run: whole, chunks, found, cleared }: Progress): Promise<void> {
    const { pipeline, group } = this.options;
    const query = (text: string, values: readonly unknown[]) => this.connection.query({ text, values });
    if (whole !== null) {
      await query("UPDATE tailrace.verification_run SET history = $2, ord = $3, idx = $4, tables = $5, noted_at = now() WHERE run = $1", [
        run,
        ...partsOf(whole.proven),
        JSON.stringify(whole.tables),
      ]);
    }
    if (chunks.length > 0) {
      await query(
        `INSERT INTO tailrace.verification_chunk (run, source, number, after_key, up_to_key, rows, state, history, ord, idx)
         SELECT $1, c.source, c.number, nullif(c.after_key, 'null'), nullif(c.up_to_key, 'null'), c.rows, c.state, c.history, c.ord, c.idx
         FROM jsonb_to_recordset($2::jsonb) AS c (source text, number integer, after_key jsonb, up_to_key jsonb, rows bigint, state text,
           history bigint, ord bigint, idx bigint)
         ON CONFLICT (run, source, number) DO UPDATE SET after_key = excluded.after_key, up_to_key = excluded.up_to_key, rows = excluded.rows,
           state = excluded.state, history = excluded.history, ord = excluded.ord, idx = excluded.idx, read_at = now()`,
        [run, JSON.stringify(chunks.map(chunkJson))],
      );
    }
    if (cleared.length > 0) {
      await query(
        `UPDATE tailrace.verification_mismatch AS m SET state = CASE m.state WHEN 'asked' THEN 'repaired' ELSE 'gone' END, ended_at = now()
         FROM jsonb_to_recordset($3::jsonb) AS c (source text, key_hash text)
         WHERE m.pipeline = $1 AND m.group_id = $2 AND m.source = c.source AND m.key_hash = c.key_hash AND m.state IN ('open', 'asked')`,
        [pipeline, group, JSON.stringify(cleared.map(({ table, id }) => ({ source: table, key_hash: id })))],
      );
    }
    if (found.length > 0) {
      await query(
        `INSERT INTO tailrace.verification_mismatch (pipeline, group_id, source, key_hash, key, kind, columns, why, history, ord, idx, found_by)
         SELECT $1, $2, f.source, f.key_hash, f.key, f.kind, ARRAY(SELECT jsonb_array_elements_text(f.columns)), f.why, f.history, f.ord, f.idx, $4
         FROM jsonb_to_recordset($3::jsonb) AS f (source text, key_hash text, key jsonb, kind text, columns jsonb, why text, history bigint,
           ord bigint, idx bigint)
         ON CONFLICT (pipeline, group_id, source, key_hash) WHERE state IN ('open', 'asked') DO UPDATE SET kind = excluded.kind,
           columns = excluded.columns, why = excluded.why, history = excluded.history, ord = excluded.ord, idx = excluded.idx`,
        [pipeline, group, JSON.stringify(found.map(mismatchJson)), run],
      );
    }
  }

  async #rows<Row extends object>(text: string, values: readonly unknown[], signal: AbortSignal): Promise<readonly (Row & object)[]> {
    signal.throwIfAborted();
    return await withTargetErrors(() => this.connection.rows<Row & Record<string, unknown>>(text, values));
  }
}

const chunkJson = ({ table, number, scope, rows, state, at }: ChunkProof): unknown => ({
  source: table,
  number,
  after_key: scope.after === null ? null : keyToJson(scope.after),
  up_to_key: scope.upTo === null ? null : keyToJson(scope.upTo),
  rows,
  state,
  ...jsonOf(at),
});

const mismatchJson = ({ table, key, id, kind, columns, why, at }: Progress["found"][number]): unknown => ({
  source: table,
  key_hash: id,
  key: keyToJson(key),
  kind,
  columns,
  why,
  ...jsonOf(at),
});

const jsonOf = ({ history, order, index }: Position) => ({ history, ord: order, idx: index });
const partsOf = ({ history, order, index }: Position): readonly number[] => [history, order, index];
const atOf = ({ history, ord, idx }: At): Position => position(Number(history), Number(ord), Number(idx));

const noResult: Omit<TableResult, "table"> = {
  state: "waiting",
  rows: 0,
  chunks: 0,
  equalChunks: 0,
  missing: 0,
  extra: 0,
  changed: 0,
  unsettled: 0,
  ms: 0,
};
