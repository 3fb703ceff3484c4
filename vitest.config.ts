import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["**/*.test.ts"],
    exclude: ["**/node_modules/**", "data/**"],
    // One PostgreSQL for the whole run; each test that needs one makes its own database in it.
    globalSetup: ["test/servers/postgres.ts"],
    pool: "forks",
    // A worker imports each module once for all its files, which saves a sixth of the run. So a test leaves nothing
    // behind in a module or in `process.env`.
    isolate: false,
    // The servers under test need processor time too; the reference machine has two cores.
    maxWorkers: 2,
    // For what hangs; how long something takes is not what a test decides by, and machines differ.
    testTimeout: 90_000,
    hookTimeout: 120_000,
    teardownTimeout: 30_000,
  },
});
