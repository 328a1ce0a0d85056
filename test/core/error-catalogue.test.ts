/** Every error that can be met is explained, and every explanation can be met. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { productionFolders, sourceFiles } from "../../bench/shape.mjs";
import { errorsPage } from "../../cli/error-pages.js";
import { catalogue, isErrorCode } from "../../core/error-catalogue.js";
import { whatIsSafe } from "../../core/error-safety.js";

const root = join(import.meta.dirname, "../..");
/** Where codes are listed, and none is met. */
const table = /^core\/(error-catalogue|error-safety|[\w-]+-errors)\.ts$/;
const files = sourceFiles(root, productionFolders)
  .filter((path) => !table.test(path))
  .map((path) => ({ path, text: readFileSync(join(root, path), "utf8") }));
const codes = Object.keys(catalogue).filter(isErrorCode);

describe.each(codes)("%s", (code) => {
  it("can be met: some code names it", () => {
    expect(files.filter(({ text }) => text.includes(`"${code}"`)).length).toBeGreaterThan(0);
  });

  it("has a cause, what is safe, and a remedy, each a sentence", () => {
    const { cause, remedy } = catalogue[code];
    for (const sentence of [cause, whatIsSafe(code), remedy]) {
      expect(sentence.length).toBeGreaterThan(8);
      expect(sentence).toMatch(/^[A-Z`]/);
    }
    expect(cause).toMatch(/[.)]$/);
    // The page and every message put the stop.
    expect(remedy).not.toMatch(/\.$/);
    expect(whatIsSafe(code)).not.toMatch(/\.$/);
  });

  it("stands on the page", () => {
    expect(errorsPage()).toContain(`| \`${code}\` | ${catalogue[code].verdict} |`);
  });
});

describe("what is thrown", () => {
  const thrown = files.flatMap(({ path, text }) =>
    [...text.matchAll(/throw new (\w+)\(\s*(?:"([^"]*)")?/g)].map(([, name, first]) => ({ path, name, first })),
  );

  it("by a code is in the catalogue", () => {
    const byCode = thrown.filter(({ name, first }) => name === "TailraceError" && first !== undefined);
    expect(byCode.length).toBeGreaterThan(100);
    expect(byCode.filter(({ first }) => !isErrorCode(first ?? ""))).toEqual([]);
  });

  it("is ours, or an assertion that ends as `internal`, or never leaves its folder", () => {
    const inFolder: Readonly<Record<string, RegExp>> = {
      WireFault: /^schemas\//,
      UnreadSchema: /^schemas\//,
      OutOfOrder: /^core\/apply\//,
      LeftOut: /^connectors\/duckdb\/inspect\//,
      NotNow: /^connectors\/duckdb\/copy\//,
      AboutTable: /^connectors\/duckdb\/target\//,
      SettingsRefused: /^cli\/settings\//,
    };
    const strangers = thrown.filter(({ path, name }) => {
      if (name === "TailraceError" || name === "Error" || name === "RangeError") return false;
      return inFolder[name ?? ""]?.test(path) !== true;
    });
    expect(strangers).toEqual([]);
  });

  it("is never a text or an object", () => {
    const bare = files.flatMap(({ path, text }) => [...text.matchAll(/\bthrow (["'`{[]|\d)/g)].map(() => path));
    expect(bare).toEqual([]);
  });
});

it("codes that documents name exist", () => {
  const pages = ["README.md", "docs/guarantees.md", "docs/architecture.md", "docs/configuration.md", "docs/cli.md"];
  const families = new Set(codes.map((code) => code.split(".")[0]));
  const unknown = pages.flatMap((page) =>
    [...readFileSync(join(root, page), "utf8").matchAll(/\[((?:[a-z-]+)\.(?:[a-z-]+))\]/g)]
      .map(([, code]) => code ?? "")
      .filter((code) => families.has(code.split(".")[0] ?? "") && !isErrorCode(code))
      .map((code) => `${page}: ${code}`),
  );
  expect(unknown).toEqual([]);
});
