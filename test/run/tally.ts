import type { Reporter, SerializedError, TestCase, TestModule, TestSuite } from "vitest/node";

/** `title`: with the groups around it. */
export type SkippedTest = { file: string; title: string; why: string };

/** What came of a run. `failed` names each one. */
export type Tally = { passed: number; failed: string[]; skipped: SkippedTest[] };

/** What a test file took: its imports, its set-up and its tests. */
export type FileTime = { file: string; seconds: number };

/** A vitest reporter that only counts; vitest's own reporter next to it shows progress and failures. */
export class TallyReporter implements Reporter {
  readonly tally: Tally = { passed: 0, failed: [], skipped: [] };
  readonly times: FileTime[] = [];

  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
    for (const module of modules) this.#addModule(module);
    // An error outside every test still says that something is broken.
    for (const error of unhandledErrors) this.tally.failed.push(`outside of any test: ${error.message}`);
  }

  #addModule(module: TestModule): void {
    const file = module.relativeModuleId;
    const { collectDuration, setupDuration, duration } = module.diagnostic();
    this.times.push({ file, seconds: (collectDuration + setupDuration + duration) / 1_000 });
    for (const group of [module, ...module.children.allSuites()]) {
      const [error] = group.errors();
      const name = group.type === "suite" ? ` > ${group.fullName}` : "";
      if (error !== undefined) this.tally.failed.push(`${file}${name} (outside its tests): ${error.message}`);
    }
    for (const test of module.children.allTests()) this.#addTest(file, test);
  }

  #addTest(file: string, test: TestCase): void {
    const name = `${file} > ${test.fullName}`;
    const result = test.result();
    if (result.state === "passed") this.tally.passed += 1;
    else if (result.state === "failed") this.tally.failed.push(name);
    else if (result.state === "pending") this.tally.failed.push(`${name} (did not end)`);
    else this.tally.skipped.push({ file, title: test.fullName, why: result.note ?? explainSkip(test) });
  }
}

export function describeSkip({ file, title, why }: SkippedTest): string {
  return `${file} > ${title}: ${why}`;
}

/** In a run that must skip nothing unexpected, such a test has failed. */
export function failSkipped(tally: Tally, unexpected: readonly SkippedTest[]): void {
  tally.skipped = tally.skipped.filter((one) => !unexpected.includes(one));
  tally.failed.push(...unexpected.map((one) => `${describeSkip(one)} (skipped, which was not expected)`));
}

function explainSkip(test: TestCase): string {
  for (let group: TestSuite | TestModule = test.parent; ; group = group.parent) {
    if (group.errors().length > 0) return "its set-up failed";
    if (group.type === "module") break;
  }
  return test.options.mode === "todo" ? "to be written" : "no reason given";
}

/** The `count` slowest files, slowest first, a line each. */
export function listSlowest(times: readonly FileTime[], count: number): string[] {
  return times
    .toSorted((one, other) => other.seconds - one.seconds)
    .slice(0, count)
    .map(({ file, seconds }) => `${seconds.toFixed(1).padStart(6)} s  ${file}`);
}

/** The last line of every run. */
export function summarise({ passed, failed, skipped }: Tally): string {
  return `${passed} passed, ${failed.length} failed, ${skipped.length} skipped`;
}

/** @param testsPassed how many of the passed ones were tests, not checks: a run that tested nothing is no success */
export function exitCodeOf(tally: Tally, testsPassed: number): 0 | 1 {
  return tally.failed.length > 0 || testsPassed === 0 ? 1 : 0;
}
