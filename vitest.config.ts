import { defineConfig } from "vitest/config";

// Real databases, brokers and processes: files run two at a time, and a test may take as long as a broker's restart.
export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/support/global-setup.ts"],
    setupFiles: ["test/support/property-seed.ts"],
    pool: "forks",
    maxWorkers: 2,
    // None comes near it: a limit only says when hope ends, and machines that do other things as well are ten times as slow.
    testTimeout: 180_000,
    hookTimeout: 120_000,
    // The library's own bound is one second.
    expect: { poll: { timeout: 30_000 } },
  },
});
