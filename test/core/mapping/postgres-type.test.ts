import { expect, test } from "vitest";
import { formatType, parseType } from "../../../core/mapping/postgres-type.js";

test.each([
  ["int", "integer"],
  ["INT8", "bigint"],
  ["bigserial", "bigint"],
  ["varchar(20)", "character varying(20)"],
  ["character  varying ( 20 )", "character varying(20)"],
  ["varchar", "character varying"],
  ["char(3)", "character(3)"],
  ["char", "character(1)"],
  ["decimal", "numeric"],
  ["decimal(10)", "numeric(10,0)"],
  ["NUMERIC(10, 2)", "numeric(10,2)"],
  ["numeric(3,-2)", "numeric(3,-2)"],
  ["timestamptz", "timestamp with time zone"],
  ["timestamptz(3)", "timestamp(3) with time zone"],
  ["timestamp(3)", "timestamp(3) without time zone"],
  ["timestamp", "timestamp without time zone"],
  ["timestamp (3) with time zone", "timestamp(3) with time zone"],
  ["time", "time without time zone"],
  ["timetz", "time with time zone"],
  ["float", "double precision"],
  ["float(24)", "real"],
  ["float8", "double precision"],
  ["bool", "boolean"],
  ["jsonb", "jsonb"],
  ["inet", "inet"],
  ["text[]", "text[]"],
  ["bit varying(5)", "bit varying(5)"],
  ["public.citext", "public.citext"],
  ['sales."Odd Type"', 'sales."Odd Type"'],
  ["geometry(point,4326)", "geometry(point,4326)"],
])("%s is %s, and reads back as itself", (text, expected) => {
  const type = parseType(text);
  expect(type).not.toBeNull();
  if (type === null) return;
  expect(formatType(type)).toBe(expected);
  expect(parseType(expected)).toEqual(type);
});

test.each([
  "",
  "text); DROP TABLE x; --",
  'text"',
  "int(11)",
  "numeric(0)",
  "numeric(1001)",
  "numeric(1,2,3)",
  "varchar(0)",
  "varchar(99999999)",
  "timestamp(7)",
  "timestamptz with time zone",
  "float(54)",
  "text collate nocase'",
  "a\0b",
  "text default 'x'",
])("%j is no type", (text) => {
  expect(parseType(text)).toBeNull();
});
