import { expect, test } from "vitest";
import { compileMapping } from "../../../core/mapping/table-mapping.js";
import { census } from "../../../core/plan/census.js";
import { map, planOf, tableOf, type TableWords } from "./catalogue-of.js";

const words: TableWords = { name: "t", columns: ["id INTEGER", "a TEXT", "b INTEGER"] };

test("every value that would stop the pipeline is counted by column and reason, with the key of the first", async () => {
  const { plan } = planOf({
    tables: [words],
    settings: { t: { columns: { a: map({ type: "varchar(3)" }), b: map({ type: "smallint" }) } } },
  });
  const [table] = plan.tables;
  if (table === undefined) throw new Error("no plan");
  const { description } = tableOf(words);
  const pages = [
    [
      [1n, "abc", 1n],
      [2n, "abcd", 40000n],
    ],
    [
      [3n, "a\0", 40000n],
      [4n, "defg", null],
    ],
  ];
  expect(await census(description, compileMapping(table, description), pages)).toMatchObject({
    rows: 4,
    rowsRefused: 3,
    entries: [
      { column: "a", code: "value.length", count: 2, exampleKey: [2n] },
      { column: "b", code: "value.range", count: 2, exampleKey: [2n] },
      { column: "a", code: "value.nul", count: 1, exampleKey: [3n] },
    ],
  });
});
