import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { makeSampleReport } from "../testing/sample-report.ts";
import { compare, printComparison, readEarlier } from "./compare.ts";
import { renderPage } from "./html-report.ts";
import { printReport } from "./print-report.ts";
import { judgeTarget } from "./targets.ts";

const sample = makeSampleReport();

describe("the specification's targets", () => {
  test("the bound itself is a miss", () => {
    expect(judgeTarget("otaFirstAttempt", { value: 0.951, samples: 100 }).verdict).toBe("met");
    expect(judgeTarget("otaFirstAttempt", { value: 0.95, samples: 100 }).verdict).toBe("missed");
    expect(judgeTarget("maintenanceCheck", { value: 1_999, samples: 1 }).verdict).toBe("met");
    expect(judgeTarget("maintenanceCheck", { value: 2_000, samples: 1 }).verdict).toBe("missed");
  });

  test("too few samples are not measured, and that is said", () => {
    expect(judgeTarget("otaAfterRetries", { value: 1, samples: 3 }).verdict).toBe("notMeasured");
    expect(judgeTarget("salesToCredentials", { value: null, samples: 0 }).verdict).toBe("notMeasured");
  });
});

describe("the page", () => {
  test("it is complete in itself: no script, no address, a plot for each question", () => {
    const page = renderPage(sample, null);
    expect(page).not.toMatch(/<script|https?:|<link|<img|@import|url\(/);
    expect(page.match(/<svg/g)).toHaveLength(6);
    for (const title of ["Connected cars", "Latency over time", "Success by wave", "Why attempts failed"])
      expect(page).toContain(title);
    expect(page).toContain("npm run simulate -- --seed 1");
    expect(page).toContain("links lost: 1, and not at most 0");
    expect(page).not.toMatch(/NaN|undefined|Infinity/);
  });

  test("names from outside are text and never markup", () => {
    const page = renderPage(
      makeSampleReport({
        scenario: { name: "<b>&x", describes: '"quoted" <script>' },
        failures: { "<i>": 1 },
      }),
      null,
    );
    expect(page).not.toMatch(/<b>&x|<script>|<i>/);
    expect(page).toContain("&lt;b&gt;&amp;x");
  });

  test("a run in which nothing happened has a page, too", () => {
    const nothing = { p50Ms: null, p95Ms: null, p99Ms: null, maxMs: null };
    const page = renderPage(
      makeSampleReport({ waves: [], failures: {}, series: [], latency: { quantiles: nothing, bars: [] } }),
      null,
    );
    expect(page).toContain("nothing to show");
    expect(page).not.toMatch(/NaN|undefined|Infinity/);
  });
});

describe("a comparison with an earlier run", () => {
  const slower = makeSampleReport({
    numbers: { ...sample.numbers, p99Ms: 1_900, p50Ms: 125, firstAttemptSuccess: 0.99 },
  });

  test("it says what became better or worse, and takes a fifth for noise", () => {
    const rows = new Map(compare(sample, slower).rows.map((row) => [row.name, row]));
    expect(rows.get("p99")).toMatchObject({ change: "+111 %", tone: "worse" });
    expect(rows.get("p50")).toMatchObject({ change: "+4 %", tone: "same" });
    expect(rows.get("first attempt")?.tone).toBe("better");
    expect(printComparison(compare(sample, slower)).join("\n")).toContain("p99");
    expect(renderPage(slower, compare(sample, slower))).toContain("Compared with sample");
  });

  test("runs that differ in what was run are compared with care", () => {
    const other = makeSampleReport({ scenario: { name: "other", describes: "x" } });
    expect(compare(other, sample).cautions).toEqual(["the scenarios differ"]);
  });

  test("a file that is no report is refused by name", () => {
    const folder = mkdtempSync(join(tmpdir(), "caas-compare-"));
    try {
      const path = join(folder, "x.json");
      writeFileSync(path, JSON.stringify(sample));
      expect(readEarlier(path)).toEqual(sample);
      writeFileSync(path, "{}");
      expect(() => readEarlier(path)).toThrow("x.json is no report of a simulation");
      expect(() => readEarlier(join(folder, "none.json"))).toThrow("none.json cannot be compared with");
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

test("the terminal gets the verdict, the misses and the way to repeat it", () => {
  const lines = printReport(sample).join("\n");
  expect(lines).toContain("Verdict: missed. Again: npm run simulate -- --seed 1");
  expect(lines).toContain("Missed: links lost: 1, and not at most 0");
  expect(lines).toContain("First-attempt success rate > 95 %: met, 97.00 %");
});
