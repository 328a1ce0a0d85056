/** Tables, plans and an owner for the target contract, shared by the suite and by tests of one connector. */
import type { Window } from "../../core/contracts/log.js";
import type { TablePlan, TargetPlan } from "../../core/contracts/plan.js";
import type { Conservation, Target, TargetSession } from "../../core/contracts/target.js";
import type { ErrorCode } from "../../core/errors.js";
import { pipelineId, theGroup } from "../../core/vocabulary/ids.js";
import type { TableDescription } from "../../core/vocabulary/table.js";
import type { Row } from "../../core/vocabulary/value.js";
import { describeTable, type WindowOptions, windowOf } from "../support/synthetic-window.js";

export interface TargetContext extends AsyncDisposable {
  connect(): Promise<Target>;
  /** All rows of a target table in key order, every value as text. */
  rows(table: TablePlan): Promise<readonly (string | null)[][]>;
}

/** What is not alike in all targets. */
export interface TargetTraits {
  /** It makes tables, indexes and keys; else they are the application's, and are there from the beginning. */
  readonly builds: boolean;
  /** What it calls a UNIQUE of `child (code)` and the foreign key of `child (parent)`. */
  readonly constraints: { readonly unique: string; readonly foreignKey: string };
  /** What it says of text with a NUL. */
  readonly refuses: ErrorCode;
  /** Objects that `destroy` finds at least. */
  readonly traces: number;
}

export const contractPipeline = pipelineId("contract");
export const parentTable = describeTable("parent", { id: "integer", name: "text" }, ["id"]);
export const childTable = describeTable("child", { id: "integer", parent: "integer", code: "text" }, ["id"]);
export const pairTable = describeTable("pair", { a: "text", b: "integer", value: "text" }, ["a", "b"]);

export function planOf(...tables: readonly TablePlan[]): TargetPlan {
  return { version: 1, pipeline: contractPipeline, prefix: "contract", tables };
}

export function planTable(table: TableDescription, more: Partial<TablePlan> = {}): TablePlan {
  const types: Readonly<Record<string, string>> = {
    integer: "bigint",
    text: "text",
    real: "double precision",
    blob: "bytea",
    raw: "bytea",
  };
  const [first, ...rest] = table.key.map((index) => table.columns[index]?.name ?? "");
  return {
    source: table.table,
    group: theGroup,
    target: { schema: "public", name: table.table },
    columns: table.columns.map((column) => ({
      source: column.name,
      target: column.name,
      type: types[column.classes[0] ?? "text"] ?? "text",
      nullable: column.nullable,
      conversion: { kind: "as-is" },
      written: "always",
      constant: null,
    })),
    key: [first ?? "", ...rest],
    indexes: [],
    foreignKeys: [],
    dropped: [],
    ...more,
  };
}

export const parentPlan = planTable(parentTable);
export const childPlan = planTable(childTable, {
  indexes: [
    { name: "child_code_key", columns: ["code"], unique: true },
    { name: "child_parent_idx", columns: ["parent"], unique: false },
  ],
  foreignKeys: [{ name: "child_parent_fkey", columns: ["parent"], parent: parentPlan.target, parentColumns: ["id"] }],
});
export const pairPlan = planTable(pairTable);
export const contractPlan = planOf(parentPlan, childPlan, pairPlan);
export const never = new AbortController().signal;
/** As in production: whoever beats is found out by that, one that is silent is waited for so long. */
export const takeoverMs = 3_000;

export const parentRow = (id: number, name = `p${id}`): Row => [BigInt(id), name];
export const childRow = (id: number, parent: number | null, code = `c${id}`): Row => [
  BigInt(id),
  parent === null ? null : BigInt(parent),
  code,
];
export const nothing: Conservation = { taken: 0, folded: 0, applied: 0, filtered: 0, quarantined: 0, replayed: 0 };

/** An owner that applies one window after the other. */
export class Owner implements AsyncDisposable {
  constructor(readonly session: TargetSession) {}

  static async of(target: Target, patienceMs = takeoverMs): Promise<Owner> {
    return new Owner(await target.own({ group: theGroup, direction: "forward", takeoverMs: patienceMs }, never));
  }

  window(options: Omit<WindowOptions, "before">): Window {
    return windowOf({ before: this.session.applied, ...options });
  }

  async apply(...parts: WindowOptions["parts"]): Promise<ReadonlyMap<string, Conservation>> {
    return this.session.apply(this.window({ parts }), never);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.session[Symbol.asyncDispose]();
  }
}

/** For prepares whose stale tables are not what is asked about. */
export const nothingStale = (): Promise<void> => Promise.resolve();
