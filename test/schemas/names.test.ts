import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { avroFieldNames, avroName, avroNamespace } from "../../schemas/names.js";

describe("names in Avro", () => {
  it("leaves legal names alone", () => {
    for (const name of ["id", "created_at", "constructor", "A1", "_u", "_under"]) expect(avroName(name)).toBe(name);
  });

  it("escapes what Avro forbids, the way Debezium's avro_unicode does", () => {
    expect(avroName("a b-c")).toBe("a_u0020b_u002dc");
    expect(avroName("1st")).toBe("_u0031st");
    expect(avroName("__proto__")).toBe("_u005f_proto__");
    expect(avroName("")).toBe("_uempty");
    expect(avroName("_u0041")).toBe("_u005fu0041");
    expect(avroNamespace("my-shop.2024.orders")).toBe("my_u002dshop._u0032024.orders");
  });

  it("gives names that Avro allows, and never one to two", () => {
    const near = fc.string({ unit: fc.constantFrom("_", "u", "0", "4", "a", " ", "e", "d", "p", "empty", "dup2"), maxLength: 12 });
    fc.assert(
      fc.property(
        fc.array(fc.oneof(near, fc.constantFrom("__proto__", "_u005f_proto__"), fc.string({ unit: "binary" })), { maxLength: 30 }),
        (given) => {
          const made = new Map(given.map((name) => [avroName(name), name]));
          for (const [avro, name] of made) {
            expect(avro).toMatch(/^[A-Za-z_][A-Za-z0-9_]*$/);
            expect(avroName(name)).toBe(avro);
          }
          expect(made.size).toBe(new Set(given).size);
          expect(new Set(avroFieldNames(given)).size).toBe(given.length);
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it("tells columns of one name apart", () => {
    expect(avroFieldNames(["a", "a", "a_udup2"])).toEqual(["a", "a_udup2", "a_u005fudup2"]);
  });
});
