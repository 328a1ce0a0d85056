/** The part of the house style that a machine can hold. The rest is judgement. */
import { describe, expect, it } from "vitest";
import { productionFolders, type Shape, shapeOf, shapeOfText, sourceFiles } from "../../bench/shape.mjs";

const root = process.cwd();
const produced = sourceFiles(root, productionFolders).map((path) => shapeOf(root, path));
const tests = sourceFiles(root, ["test", "bench", "examples"]).map((path) => shapeOf(root, path));
const fileLinesMax = 400;
const functionLinesMax = 70;

const findings = (shapes: readonly Shape[], kinds: readonly string[]): string[] =>
  shapes.flatMap(({ path, findings }) =>
    findings.filter(({ kind }) => kinds.includes(kind)).map(({ kind, line }) => `${path}:${line} ${kind}`),
  );

/** A reason stands in a comment that says "skipped", on the line or just above it, or as the argument of `context.skip("…")`. */
function hasReason({ text }: Shape, { callee, line, args }: Shape["calls"][number]): boolean {
  const said = !/^(it|test|describe)\b/.test(callee) && (args[0]?.type === "Literal" || args[0]?.type === "TemplateLiteral");
  return said || /\/\/.*skipped/i.test(text.slice(Math.max(0, line - 4), line).join("\n"));
}

describe("the style law", () => {
  it("sees what it forbids", () => {
    const text = 'export default (x: any) => { return import("./y.js").then(() => x!); };\nit.only("a", () => {});\n';
    const shape = shapeOfText("planted.ts", text);
    expect(shape.findings.map(({ kind }) => kind)).toEqual(["default export", "any", "non-null !"]);
    expect(shape.imports.map(({ specifier }) => specifier)).toEqual(["./y.js"]);
    expect(shape.calls.map(({ callee }) => callee)).toContain("it.only");
  });

  it("knows no any, no non-null !, no enum and no default export", () => {
    expect(findings(produced, ["any", "non-null !", "enum", "default export"])).toEqual([]);
    expect(findings(tests, ["any", "enum", "default export"])).toEqual([]);
  });

  it("keeps every file within 400 lines", () => {
    const large = [...produced, ...tests].filter(({ lines }) => lines > fileLinesMax);
    expect(large.map(({ path, lines }) => `${path}: ${lines} lines`)).toEqual([]);
  });

  it("keeps every function within 70 lines", () => {
    const large = produced.flatMap(({ path, functions }) =>
      functions.filter(({ lines }) => lines > functionLinesMax).map((f) => ({ path, ...f })),
    );
    expect(large.map(({ path, name, line, lines }) => `${path}:${line} ${name}: ${lines} lines`)).toEqual([]);
  });

  it("leaves no test out without a reason, and none alone", () => {
    const inTests = tests.filter(({ path }) => path.endsWith(".test.ts") || path.includes("/contracts/"));
    const alone = inTests.flatMap(({ path, calls }) =>
      calls.filter(({ callee }) => /^(it|test|describe)(\.\w+)*\.(only|todo)\b/.test(callee)).map(({ line }) => `${path}:${line}`),
    );
    expect(alone).toEqual([]);
    const left = inTests.flatMap((shape) =>
      shape.calls
        .filter((call) => /\.(skip|skipIf|runIf)$/.test(call.callee))
        .filter((call) => !hasReason(shape, call))
        .map(({ line }) => `${shape.path}:${line}`),
    );
    expect(left).toEqual([]);
  });

  it("waits for conditions, never for time alone, in production code", () => {
    // A timer that nobody can inject makes a test sleep; core/clock owns them.
    const sleeps = produced
      .filter(({ path }) => path !== "core/clock.ts")
      .flatMap(({ path, text, imports }) =>
        imports
          .filter(({ specifier, line }) => specifier === "node:timers/promises" && /\bsetTimeout\b/.test(text[line - 1] ?? ""))
          .map(({ line }) => `${path}:${line}`),
      );
    expect(sleeps).toEqual([]);
  });
});
