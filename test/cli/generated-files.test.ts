import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { generatedFiles } from "../../cli/generated-files.js";

describe("files made from code", () => {
  it.each(generatedFiles.map((file) => [file.path, file] as const))(
    "%s is current (`node dist/cli/generated-files.js` writes it)",
    (path, file) => {
      expect(readFileSync(path, "utf8")).toBe(file.content());
    },
  );
});
