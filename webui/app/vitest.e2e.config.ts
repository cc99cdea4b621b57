import { existsSync } from "node:fs";
import { defineConfig } from "vitest/config";

const chromium = process.env.CHROMIUM ?? "/usr/bin/chromium";
// Under CI a missing browser is a failure; elsewhere the tests say why they do not run.
const skip = !existsSync(chromium) && process.env.CI !== "true";
if (skip)
  process.stderr.write(`no browser tests: ${chromium} is missing (apt-get install chromium, or set CHROMIUM)\n`);

export default defineConfig({
  test: {
    include: skip ? [] : ["test/e2e/**/*.test.ts"],
    passWithNoTests: skip,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    bail: 3,
    fileParallelism: false,
  },
});
