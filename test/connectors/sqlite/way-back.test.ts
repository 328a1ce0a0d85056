/**
 * File ▸ PostgreSQL ▸ file: whatever the mapping lets out comes back as it was, byte for byte and storage class for storage class; what PostgreSQL
 * changed comes back with the meaning that PostgreSQL gave it.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { TablePlan } from "../../../core/contracts/plan.js";
import type { Target } from "../../../core/contracts/target.js";
import { openSqliteTarget } from "../../../connectors/sqlite/target/open-target.js";
import { position } from "../../../core/vocabulary/position.js";
import { schemaVersion, theGroup } from "../../../core/vocabulary/ids.js";
import type { TableDescription } from "../../../core/vocabulary/table.js";
import type { Row } from "../../../core/vocabulary/value.js";
import type { SourceFile } from "../../support/sqlite.js";
import { changesOf, windowOf } from "../../support/synthetic-window.js";
import { TwoSides } from "../../support/two-sides.js";

const never = new AbortController().signal;
const seed = Number(process.env["TAILRACE_SEED"] ?? Date.now() % 1_000_000);
const numRuns = process.env["TAILRACE_TEST_LONG"] === "1" ? 200 : 12;

/** A column: its declaration, and a pool that its values are drawn from, as SQL literals. */
interface Column {
  readonly declared: string;
  readonly values: readonly string[];
}
const text = (s: string): string => `CAST(x'${Buffer.from(s, "utf8").toString("hex")}' AS TEXT)`;
const int64 = fc
  .bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
  .map((n) => (n === -(2n ** 63n) ? "(-9223372036854775807 - 1)" : String(n)));
const ints = fc.oneof(int64, fc.constantFrom("0", "1", "-1", "9007199254740993"));
const reals = fc.oneof(
  fc
    .double({ noNaN: true, noDefaultInfinity: true })
    .map((n) => (Number.isInteger(n) && Math.abs(n) < 1e15 ? n.toFixed(1) : n.toExponential())),
  fc.constantFrom("1.0", "-0.0", "0.1", "1e300", "9e999", "-9e999", "2.50"),
);
const texts = fc
  .oneof(
    fc.string({ unit: "grapheme" }).filter((s) => !s.includes("\0")),
    fc.constantFrom("", "007", "12", "1.50", "1e5", "true", " x ", "é\u{1f600}"),
  )
  .map(text);
const blobs = fc.uint8Array({ maxLength: 12 }).map((bytes) => `x'${Buffer.from(bytes).toString("hex")}'`);
const odd = fc.constantFrom("CAST(x'ff00' AS TEXT)", text("a\0b"), text("plain"));
const moments = fc
  .constantFrom("2026-11-20T10:11:12.500Z", "2026-11-20 10:11:12", "0000-01-02 00:00:00", "2026-11-20", "1999-12-31T23:59:59.123456+02:00")
  .map(text);
const days = fc.constantFrom("2026-02-28", "0001-01-01", "9999-12-31").map(text);
const json = fc
  .oneof(
    fc.json().filter((s) => !s.includes("\\u")),
    fc.constantFrom('{"b": 1,"a":[2.50,1e2]}', '{"k":1,"k":2}', "3", '"x"'),
  )
  .map(text);
const truths = fc.constantFrom("0", "1", text("true"), text("FALSE"));
const column = (declared: string, ...pools: readonly fc.Arbitrary<string>[]): fc.Arbitrary<Column> =>
  fc.array(fc.oneof(...pools, fc.constant("NULL")), { minLength: 1, maxLength: 8 }).map((values) => ({ declared, values }));
const columns = fc.tuple(
  column("INTEGER", ints),
  column("INTEGER", ints, reals),
  column("INTEGER", ints, texts),
  column("REAL", reals, ints),
  column("REAL", reals, texts),
  column("TEXT", texts, ints),
  column("TEXT", odd),
  column("VARCHAR(3)", texts),
  column("NUMERIC(10,2)", fc.constantFrom("1.5", "2", "0.01", "99999999.99")),
  column("DECIMAL", reals, ints, texts),
  column("BOOLEAN", truths),
  column("BOOLEAN", truths, fc.constantFrom("2", "0.5")),
  column("BLOB", blobs, texts),
  column("", ints, reals, texts),
  column("", reals),
  column("DATETIME", moments),
  column("DATE", days),
  column("JSON", json),
);

function ddlOf(all: readonly Column[]): string {
  const declared = all.map(({ declared: type }, i) => `c${i} ${type}`).join(", ");
  const rows = Array.from({ length: 10 }, (_, n) => `(${n}, ${all.map(({ values }) => values[n % values.length] ?? "NULL").join(", ")})`);
  return `CREATE TABLE t (id INTEGER PRIMARY KEY, ${declared}); INSERT INTO t VALUES ${rows.join(", ")};`;
}

const dump = (file: SourceFile): string =>
  JSON.stringify(file.application().prepare(`SELECT * FROM t ORDER BY id`).raw().safeIntegers().all(), (_, v: unknown) =>
    typeof v === "bigint" ? `${v}n` : typeof v === "number" ? `r${Object.is(v, -0) ? "-0" : v}` : v,
  ) +
  JSON.stringify(
    file
      .application()
      .prepare(
        `SELECT ${columnsOf(file)
          .map((c) => `typeof(${c}) || ':' || coalesce(hex(CAST(${c} AS BLOB)), '')`)
          .join(", ")} FROM t ORDER BY id`,
      )
      .raw()
      .all(),
  );
const columnsOf = (file: SourceFile): readonly string[] =>
  (file.application().pragma("table_info(t)") as { name: string }[]).map(({ name }) => name);

/** As the stream back describes the table, and PostgreSQL's text of its rows. */
async function rowsAtTarget(
  sides: TwoSides,
  plan: TablePlan,
): Promise<{ readonly table: TableDescription; readonly rows: readonly Row[] }> {
  await sides.database.query("SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'; SET extra_float_digits = 1; SET bytea_output = 'hex'");
  const list = plan.columns.map(({ target }) => `"${target}"::text AS "${target}"`).join(", ");
  const rows = await sides.database.query<Record<string, string | null>>(`SELECT ${list} FROM t AS r ORDER BY r.id`);
  return { table: returned(plan), rows: rows.map((row) => plan.columns.map(({ target }) => row[target] ?? null)) };
}
const returned = (plan: TablePlan): TableDescription => ({
  table: plan.source,
  group: theGroup,
  schema: schemaVersion(1),
  columns: plan.columns.map(({ target, type }) => ({
    name: target,
    declaredType: type,
    nullable: true,
    generated: false,
    classes: ["text"],
  })),
  key: [plan.columns.findIndex(({ target }) => target === plan.key[0])],
});

async function comeBack(target: Target, table: TableDescription, rows: readonly Row[], kind: "create" | "update"): Promise<void> {
  await using session = await target.own({ group: theGroup, direction: "reverse", takeoverMs: 1_000 }, never);
  const from = session.applied?.position.order ?? 0;
  const changes = rows.map((row, i) => ({ kind, at: position(0, from + i + 1), key: [row[table.key[0]] ?? null], after: row }));
  await session.apply(windowOf({ before: session.applied, parts: [changesOf(table, ...changes)] }), never);
}

const targetOf = (file: SourceFile): Target =>
  openSqliteTarget({ path: file.path, pipeline: file.pipeline, lockDirectory: file.directory });

test("what the mapping lets out comes back byte for byte, and means the same when it is new to the file", {
  timeout: 600_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(columns, async (all) => {
      const ddl = ddlOf(all);
      await using sides = await TwoSides.of(ddl);
      await sides.sync();
      const [plan] = sides.plan.tables;
      if (plan === undefined) throw new Error("no table is planned");
      const { table, rows } = await rowsAtTarget(sides, plan);
      const before = dump(sides.file);
      const target = targetOf(sides.file);
      await target.prepare(sides.plan, () => Promise.resolve(), never);
      await comeBack(target, table, rows, "update");
      expect(dump(sides.file)).toBe(before);
      // Once more, into a file that has lost the rows: other spellings may come, but they map to the same.
      sides.file.application().exec("UPDATE _cdc_state SET applying = 1; DELETE FROM t; UPDATE _cdc_state SET applying = 0");
      await comeBack(target, table, rows, "create");
      const source = await sides.sourceReader();
      const reader = await sides.targetReader(source);
      const whole = { kind: "range", after: null, upTo: null } as const;
      const here = await source.digest(plan.source, whole, never);
      expect(here.value).toEqual((await reader.digest(plan.source, whole, never)).value);
    }),
    { numRuns, seed },
  );
});
