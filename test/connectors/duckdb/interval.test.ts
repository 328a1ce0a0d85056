import { expect, it } from "vitest";
import { plainInterval } from "../../../connectors/duckdb/target/interval.js";

it.each([
  ["P1Y2M-3DT4H5M6.000001S", "1 year 2 months -3 days 04:05:06.000001"],
  ["PT0S", "00:00:00"],
  ["P-14M30DT-1H-0.5S", "-1 year -2 months 30 days -01:00:00.5"],
  ["PT2562047788H54.775807S", "2562047788:00:54.775807"],
  ["1 mon 30 days", "1 month 30 days"],
])("%s of PostgreSQL is %s of DuckDB", (there, here) => {
  expect(plainInterval(there)).toBe(plainInterval(here));
  expect(plainInterval(there)).not.toBeNull();
});

it("takes nothing else for one, and keeps months and days apart", () => {
  for (const text of ["x", "1 day 2", "1 parsec", "01:02"]) expect(plainInterval(text)).toBeNull();
  expect(plainInterval("P1M")).not.toBe(plainInterval("P30D"));
});
