import { defineConfig } from "vitest/config";

export default defineConfig({
  root: import.meta.dirname,
  test: {
    include: ["*.e2e.ts"],
    testTimeout: 600_000,
    hookTimeout: 300_000,
    // One browser and one daemon at a time: the machine of a small team, not of a test farm.
    fileParallelism: false,
    // Once more, and said so: a browser on a busy machine.
    retry: 1,
  },
});
