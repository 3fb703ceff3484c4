import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runReportSchema } from "@caas/simulator/report/run-report.ts";
import { expect, test } from "vitest";
import { findRedis } from "../lab/redis-server.ts";

const program = fileURLToPath(new URL("./main.ts", import.meta.url));
const redis = await findRedis();
const why = redis.kind === "missing" ? `: ${redis.explanation}` : "";

/** The first broker is also the one that the control plane is connected to, or the second is: either must do. */
const scenario = `
describes: of two brokers one is killed while cars change and customers buy
vehicles: 40
profile: steady
ramp: 1s
duration: 10s
settle: 60s
steps:
  - name: release
    bulkChange: { share: 1, over: 6s, waveSize: 8 }
  - name: customers
    purchases: { perSecond: 4, for: 7s, thinkTime: 20ms }
  - at: 3s
    brokerRestart: { downFor: 4s, how: kill }
assertions:
  - { measure: pending, atMost: 0 }
  - { measure: failed, atMost: 0 }
  - { measure: connectedShare, atLeast: 1 }
  - { measure: doubleApplies, atMost: 0 }
`;

test.skipIf(redis.kind === "missing")(
  `cars go on at the other of two brokers when one is killed, and no activation is lost${why}`,
  { timeout: 180_000 },
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "caas-two-brokers-"));
    try {
      const [file, kept] = [join(folder, "two.yaml"), join(folder, "report.json")];
      writeFileSync(file, scenario);
      const errors = await new Promise<string>((resolve) => {
        const args = [program, "--scenario", file, "--brokers", "2", "--json", kept];
        execFile(process.execPath, args, { encoding: "utf8" }, (_error, _stdout, stderr) => resolve(stderr));
      });
      expect(errors).toBe("");
      const report = runReportSchema.parse(JSON.parse(readFileSync(kept, "utf8")));
      expect(report.assertions.filter(({ held }) => !held)).toEqual([]);
      expect(report.numbers).toMatchObject({ connected: 40, activations: { failed: 0, pending: 0 } });
      // About half of the cars were there, and none of the purchases may be missing.
      expect(report.numbers.drops).toBeGreaterThan(5);
      const bought = report.waves.find(({ wave }) => wave === "customers");
      expect(bought?.applied).toBe(bought?.sent);
      expect(bought?.sent).toBeGreaterThan(10);
      expect(report.world).toContain("2 brokers over Redis");
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
);
