/** What happens in one run, as data: fast-check makes it, cuts it down, and prints it. */
import fc from "fast-check";
import { type ForeignKeyAction, type Statement, statementKinds } from "./database.js";
import type { KeyKind } from "./keys.js";
import type { Fate } from "./store.js";

export interface RunOptions {
  readonly action: ForeignKeyAction;
  readonly kindOfA: "integer" | "text";
  readonly kindOfB: "integer" | "composite";
  readonly partitionsOfA: 1 | 2;
  readonly immediateUnique: boolean;
  /** Batches need more than one request. */
  readonly severalRequests: boolean;
  readonly mergeRecords: number;
  /** Log rows that are read with their batch. */
  readonly wholeRows: number;
  /** Small: windows are streamed. */
  readonly heldBytes: number;
}
export type Op =
  | { readonly op: "transaction"; readonly list: readonly Statement[] }
  /** The writer goes on to its next request; the one in hand meets its fate. */
  | {
      readonly op: "write";
      readonly fate: Fate;
      readonly chunks: number;
      readonly chunkRows: number;
      readonly between: readonly Statement[];
    }
  /** SIGKILL; `which`: what the request in hand still does. */
  | { readonly op: "kill writer"; readonly which: number }
  /** The n-th late request lands. */
  | { readonly op: "land"; readonly n: number }
  /** The sink sees more, a share of each partition by the bits of `share`. */
  | { readonly op: "see"; readonly sink: 0 | 1; readonly share: number }
  | { readonly op: "apply"; readonly sink: 0 | 1; readonly crash: "no" | "before" | "after" }
  /** A sink takes over. */
  | { readonly op: "own"; readonly sink: 0 | 1 }
  | { readonly op: "prune" }
  | { readonly op: "backup" }
  | { readonly op: "restore"; readonly n: number }
  | { readonly op: "rebuild"; readonly table: "A" | "B" }
  | { readonly op: "heal" }
  | { readonly op: "mark"; readonly kind: "marker" | "touch" | "ask"; readonly table: "A" | "B"; readonly k: number }
  /** A partition loses its last records. */
  | { readonly op: "lose"; readonly part: 0 | 1 | 2 | 3 | 4; readonly n: number };
export interface Schedule {
  readonly options: RunOptions;
  readonly ops: readonly Op[];
}
export type Weights = Readonly<Record<Op["op"], number>>;

/** Ten times the weights of the operations. */
export const usual: Weights = {
  transaction: 90,
  write: 200,
  "kill writer": 8,
  land: 20,
  see: 50,
  apply: 70,
  own: 7,
  prune: 12,
  backup: 6,
  restore: 4,
  rebuild: 3,
  heal: 6,
  mark: 18,
  lose: 2,
};

const statement: fc.Arbitrary<Statement> = fc.tuple(
  fc.constantFrom(...statementKinds),
  fc.integer({ min: 1, max: 8 }),
  fc.integer({ min: 1, max: 7 }),
  fc.integer({ min: 0, max: 8 }),
  fc.integer({ min: 1, max: 8 }),
);
export const statements = fc.array(statement, { minLength: 1, maxLength: 4 });
const which = fc.nat({ max: 0xffffff });
const fate: fc.Arbitrary<Fate> = fc.oneof(
  { weight: 80, arbitrary: fc.constant<Fate>({ kind: "stored" }) },
  { weight: 3, arbitrary: fc.constant<Fate>({ kind: "unanswered" }) },
  { weight: 1, arbitrary: fc.constant<Fate>({ kind: "repetition" }) },
  { weight: 17, arbitrary: which.map((n): Fate => ({ kind: "partial", which: n })) },
);
const sink = fc.constantFrom<(0 | 1)[]>(0, 0, 0, 0, 1);
const table = fc.constantFrom<("A" | "B")[]>("A", "B");
const few = fc.nat({ max: 3 });

const arbitraries: { readonly [K in Op["op"]]: fc.Arbitrary<Extract<Op, { op: K }>> } = {
  transaction: fc.record({ op: fc.constant("transaction" as const), list: statements }),
  write: fc.record({
    op: fc.constant("write" as const),
    fate,
    chunks: fc.nat({ max: 2 }),
    chunkRows: fc.integer({ min: 1, max: 4 }),
    between: statements,
  }),
  "kill writer": fc.record({ op: fc.constant("kill writer" as const), which }),
  land: fc.record({ op: fc.constant("land" as const), n: few }),
  see: fc.record({ op: fc.constant("see" as const), sink, share: which }),
  apply: fc.record({
    op: fc.constant("apply" as const),
    sink,
    crash: fc.constantFrom<("no" | "before" | "after")[]>("no", "no", "no", "no", "no", "no", "no", "no", "before", "after"),
  }),
  own: fc.record({ op: fc.constant("own" as const), sink }),
  prune: fc.record({ op: fc.constant("prune" as const) }),
  backup: fc.record({ op: fc.constant("backup" as const) }),
  restore: fc.record({ op: fc.constant("restore" as const), n: few }),
  rebuild: fc.record({ op: fc.constant("rebuild" as const), table }),
  heal: fc.record({ op: fc.constant("heal" as const) }),
  mark: fc.record({
    op: fc.constant("mark" as const),
    kind: fc.constantFrom<("marker" | "touch" | "ask")[]>("marker", "touch", "ask"),
    table,
    k: fc.integer({ min: 1, max: 8 }),
  }),
  lose: fc.record({
    op: fc.constant("lose" as const),
    part: fc.constantFrom<(0 | 1 | 2 | 3 | 4)[]>(0, 1, 2, 3, 4),
    n: fc.integer({ min: 1, max: 4 }),
  }),
};

export const runOptions: fc.Arbitrary<RunOptions> = fc.record({
  action: fc.constantFrom<ForeignKeyAction[]>("none", "cascade", "set null"),
  kindOfA: fc.constantFrom<Extract<KeyKind, "integer" | "text">[]>("integer", "text"),
  kindOfB: fc.constantFrom<Extract<KeyKind, "integer" | "composite">[]>("integer", "composite"),
  partitionsOfA: fc.constantFrom<(1 | 2)[]>(1, 2),
  immediateUnique: fc.boolean(),
  severalRequests: fc.boolean(),
  mergeRecords: fc.constantFrom(1, 5, 1000),
  wholeRows: fc.constantFrom(1000, 2),
  heldBytes: fc.constantFrom(1 << 20, 1 << 20, 1),
});

export function schedules(weights: Partial<Weights> = {}, overrides: Partial<RunOptions> = {}): fc.Arbitrary<Schedule> {
  const all: Weights = { ...usual, ...weights };
  const names = Object.keys(arbitraries) as Op["op"][];
  const choices = names
    .filter((name) => all[name] > 0)
    .map((name) => ({ weight: all[name], arbitrary: arbitraries[name] as fc.Arbitrary<Op> }));
  return fc.record({
    options: runOptions.map((made) => ({ ...made, ...overrides })),
    ops: fc.array(fc.oneof(...choices), { minLength: 20, maxLength: 90, size: "max" }),
  });
}
