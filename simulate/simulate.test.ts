import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { numbersSchema, runReportSchema } from "@caas/simulator/report/run-report.ts";
import { expect, test } from "vitest";

const program = fileURLToPath(new URL("./main.ts", import.meta.url));

const scenario = `
describes: the whole platform with a change for many, customers and a sale
vehicles: 8
profile: steady
duration: 8s
settle: 60s
steps:
  - name: release
    bulkChange: { share: 1, over: 1s, waveSize: 4 }
  - name: rotated
    at: 2s
    keyChange: { how: rotate }
  - name: revoked
    at: 4s
    keyChange: { how: revoke }
  - name: by a key after the revoked one
    at: 6s
    bulkChange: { share: 1, over: 1s, waveSize: 4 }
  - name: customers
    at: 1s
    purchases: { perSecond: 2, for: 4s, thinkTime: 50ms }
  - name: refused cards
    at: 1s
    purchases: { perSecond: 3, for: 4s, thinkTime: 50ms, badCards: 1 }
  - sales: { count: 1, perSecond: 10 }
assertions:
  - { measure: pending, atMost: 0 }
  - { measure: soldShare, atLeast: 1 }
  - { measure: customersRefused, atMost: 0 }
`;

function runProgram(args: readonly string[]): Promise<{ code: number; lines: string[]; errors: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [program, ...args], { encoding: "utf8" }, (error, stdout, stderr) => {
      const code = error === null ? 0 : Number(error.code);
      resolve({ code, lines: stdout.trim().split("\n"), errors: stderr });
    });
  });
}

test("one command starts the platform, plays a scenario on it with real agents and customers, and reports", {
  timeout: 180_000,
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), "caas-simulate-test-"));
  try {
    const file = join(folder, "small.yaml");
    writeFileSync(file, scenario);
    const [kept, page] = [join(folder, "report.json"), join(folder, "report.html")];
    // Arrivals are drawn: a seed that is given draws the same each time, and at this rate none is next to impossible.
    const drawn = ["--seed", "1"];
    const { code, lines, errors } = await runProgram([
      "--scenario",
      file,
      "--json",
      kept,
      "--html",
      page,
      ...drawn,
    ]);
    expect([code, errors]).toEqual([0, ""]);
    const report = runReportSchema.parse(JSON.parse(readFileSync(kept, "utf8")));
    expect(report.numbers).toMatchObject({ vehicles: 9, connected: 9, drops: 0, firstAttemptSuccess: 1 });
    expect(report.waves.find(({ wave }) => wave === "release")).toMatchObject({ sent: 8, applied: 8 });
    expect(lines).toEqual(
      expect.arrayContaining(["rotated: key set 2 is in force", "revoked: key set 3 is in force"]),
    );
    const followed = report.waves.find(({ wave }) => wave === "by a key after the revoked one");
    // Whether the car that is sold meanwhile is one of them is chance.
    expect(followed?.sent).toBeGreaterThanOrEqual(8);
    expect(followed?.applied).toBe(followed?.sent);
    const bought = report.waves.find(({ wave }) => wave === "customers");
    expect(bought?.applied).toBeGreaterThan(0);
    expect(bought?.applied).toBe(bought?.sent);
    // A refused card ends the purchase before anything goes to a car.
    expect(report.waves.some(({ wave }) => wave === "refused cards")).toBe(false);
    expect(Object.values(report.customers?.denied ?? {}).reduce((sum, one) => sum + one, 0)).toBeGreaterThan(
      0,
    );
    expect(report.sales).toMatchObject({ begun: 1, operational: 1, plansApplied: 1, failed: {} });
    expect(report.targets.find(({ target }) => target === "salesToCredentials")?.verdict).toBe("met");
    expect(readFileSync(page, "utf8")).toContain("<svg");
    expect(lines.at(-1)).toContain("Verdict: held");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test.each([
  [["--html", "/proc/none/page.html"], "--html: /proc/none/page.html cannot be written"],
  [["--json", "/"], "--json: / is a folder"],
  [["--compare", program], "main.ts cannot be compared with"],
])("files that cannot be used are told before a run and not after it: %o", async (args, message) => {
  const { code, lines, errors } = await runProgram(args);
  expect([code, lines]).toEqual([2, [""]]);
  expect(errors).toContain(message);
});

test("wrong use ends with 2 and one line that says what is wrong, also where the last line is JSON", async () => {
  const { code, lines, errors } = await runProgram(["--profile", "nobody", "--json", "-"]);
  expect(code).toBe(2);
  expect(errors).toContain('there is no profile "nobody"');
  expect(JSON.parse(lines.at(-1) ?? "")).toEqual({ error: expect.stringContaining("nobody") });
  expect(numbersSchema.safeParse(JSON.parse(lines.at(-1) ?? "")).success).toBe(false);
});

test("the knee of purchases is sought with customers who are signed in, and what no platform can keep is said", {
  timeout: 180_000,
}, async () => {
  // A whole purchase, over REST, held, applied in the car, proved and captured: never within a millisecond.
  const short = ["--vehicles", "6", "--from", "2", "--level", "1s", "--slo", "p99=1ms"];
  const { code, lines, errors } = await runProgram(["knee", "--load", "purchases", ...short, "--json", "-"]);
  expect([code, errors]).toEqual([1, ""]);
  expect(lines.some((line) => line.startsWith("6 customers signed in"))).toBe(true);
  expect(lines).toContain("Not even 2 a second kept the objective (p99 at most 1 ms).");
  expect(JSON.parse(lines.at(-1) ?? "")).toMatchObject({
    load: "purchases",
    capacityPerSecond: null,
    brokenPerSecond: 2,
  });
});
