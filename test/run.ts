import { fileURLToPath } from "node:url";
import { checks, runCheck } from "./run/checks.ts";
import { expectedSkips } from "./run/expected-skips.ts";
import { describeMachine, judgeSkips } from "./run/judge-skips.ts";
import {
  describeSkip,
  exitCodeOf,
  failSkipped,
  listSlowest,
  summarise,
  type Tally,
  TallyReporter,
} from "./run/tally.ts";

const help = `Checks the whole checkout: types, lint, and every **/*.test.ts.

  npm test                      everything
  npm test -- control-plane     only the test files whose path contains that
  npm test -- -t "hold"         only the tests whose title contains that; vitest's other options work as well
  npm test -- --ci              everything; fails as well when a test is skipped that test/run/expected-skips.ts does
                                not name for this machine (what .ci/run does)

Tests that need PostgreSQL use TEST_DATABASE_URL, else a container where an engine answers, else the embedded
server in a temporary folder. The ten slowest files are listed with their seconds. The last line is "N passed, N failed, N skipped"; types and lint count as one each.
The exit code is 1 when anything failed or no test passed, 2 for wrong use.`;

const slowestShown = 10;

const root = fileURLToPath(new URL("..", import.meta.url));

async function main(args: readonly string[]): Promise<0 | 1 | 2> {
  if (args.includes("--help") || args.includes("-h")) {
    console.log(help);
    return 0;
  }
  const isComplete = args.includes("--ci");
  if (isComplete && args.length > 1) {
    console.error("--ci is for a run of every test: no other argument goes with it.");
    return 2;
  }
  const reporter = new TallyReporter();
  const { tally } = reporter;
  let checksPassed = 0;
  const running = checks.map(async (check) => ({ check, ...(await runCheck(check)) }));
  for (const { check, passed, output } of await Promise.all(running)) {
    console.log(`${passed ? "✓" : "×"} ${check.name}`);
    if (passed) checksPassed += 1;
    else {
      console.log(output);
      tally.failed.push(check.name);
    }
  }

  try {
    await runTests(isComplete ? [] : args, reporter);
  } catch (error) {
    console.error(error);
    tally.failed.push(`vitest: ${error instanceof Error ? error.message : String(error)}`);
  }

  if (reporter.times.length > 1) printList("Slowest files", listSlowest(reporter.times, slowestShown));
  const testsPassed = tally.passed;
  tally.passed += checksPassed;
  if (isComplete) judgeTally(tally);
  printList("Skipped", tally.skipped.map(describeSkip));
  printList("Failed", tally.failed);
  if (testsPassed === 0) console.log("\nNo test passed, which is no success.");
  console.log(`\n${summarise(tally)}`);
  return exitCodeOf(tally, testsPassed);
}

function judgeTally(tally: Tally): void {
  const { unexpected, ran } = judgeSkips(tally.skipped, describeMachine(root), expectedSkips);
  failSkipped(tally, unexpected);
  printList(
    "Ran, though test/run/expected-skips.ts says that this machine cannot",
    ran.map(({ file, title, why }) => `${file} > ${title}: ${why}`),
  );
}

async function runTests(args: readonly string[], reporter: TallyReporter): Promise<void> {
  // Here and not above: colours are decided at import, and --help should not wait for a test runner.
  if (!process.stdout.isTTY && process.env.FORCE_COLOR === undefined) process.env.NO_COLOR = "1";
  const { parseCLI, startVitest } = await import("vitest/node");
  const { filter, options } = parseCLI(["vitest", "run", ...args]);
  const vitest = await startVitest(filter, {
    ...options,
    root,
    // On a terminal it shows progress, elsewhere it prints plain lines.
    reporters: ["default", reporter],
    watch: false,
    // This Node reads TypeScript itself; vite's way writes a compiled copy into node_modules.
    configLoader: "native",
  });
  await vitest.close();
}

function printList(title: string, entries: readonly string[]): void {
  if (entries.length === 0) return;
  console.log(`\n${title}:`);
  for (const entry of entries) console.log(`  ${entry}`);
}

const code = await main(process.argv.slice(2));
// Everything is printed and closed; a handle that a library forgot must not hold the run.
process.exit(code);
