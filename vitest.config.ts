import { relative } from "node:path";
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** The folders whose files take longest come first: begun last, one of them keeps a worker busy for minutes while the other has nothing to do. */
const longest = ["test/fault/matrix/kafka", "test/fault/", "test/property/", "test/e2e/"];
const rank = ({ moduleId }: TestSpecification): number => {
  const at = longest.findIndex((prefix) => relative(import.meta.dirname, moduleId).startsWith(prefix));
  return at === -1 ? longest.length : at;
};

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b));
  }
}

// Real databases, brokers and processes: files run two at a time, and a test may take as long as a broker's restart.
export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/support/global-setup.ts"],
    setupFiles: ["test/support/property-seed.ts"],
    pool: "forks",
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
    // None comes near it: a limit only says when hope ends, and machines that do other things as well are ten times as slow.
    testTimeout: 180_000,
    hookTimeout: 120_000,
    // The library's own bound is one second.
    expect: { poll: { timeout: 30_000 } },
  },
});
