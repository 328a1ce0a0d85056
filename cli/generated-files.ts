/**
 * Files that are made from code and committed, so that they can be read without running anything. A test holds them current;
 * `node dist/cli/generated-files.js` writes them.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { cliPage } from "./cli-page.js";
import { errorsPage } from "./error-pages.js";
import { configurationPage } from "./settings/documentation.js";
import { publishedJsonSchema } from "./settings/json-schema.js";

export const generatedFiles: readonly { readonly path: string; readonly content: () => string }[] = [
  { path: "docs/cli.md", content: cliPage },
  { path: "docs/configuration.md", content: configurationPage },
  { path: "docs/errors.md", content: errorsPage },
  { path: "tailrace.schema.json", content: publishedJsonSchema },
];

export function writeGeneratedFiles(root: string): readonly string[] {
  const changed = generatedFiles.filter(({ path, content }) => readOr(join(root, path)) !== content());
  for (const { path, content } of changed) writeFileSync(join(root, path), content());
  return changed.map(({ path }) => path);
}

function readOr(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
  process.stdout.write(`${writeGeneratedFiles(root).join("\n")}\n`);
}
