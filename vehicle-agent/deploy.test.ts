import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readConfig } from "./config.ts";

const execute = promisify(execFile);
const unitFile = join(import.meta.dirname, "deploy", "caas-agent.service");
const hasSystemd = await execute("systemd-analyze", ["--version"]).then(
  () => true,
  () => false,
);

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "caas-deploy-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

describe("the systemd unit", () => {
  test("sets only variables that the agent reads, with values it takes", async () => {
    const unit = await readFile(unitFile, "utf8");
    const set = Object.fromEntries(
      [...unit.matchAll(/^Environment=(\w+)=(.*)$/gm)].map(([, ...pair]) => pair),
    );
    expect(Object.keys(set).length).toBeGreaterThan(2);
    expect(readConfig(set)).toMatchObject({ ...set, CAAS_AGENT_HTTP_PORT: Number(set.CAAS_AGENT_HTTP_PORT) });
  });

  test.each([
    "ExecStart=/usr/bin/node --max-semi-space-size=1 --max-old-space-size=64 --no-opt --no-maglev /usr/lib/caas-agent/caas-agent.mjs run",
    "NoNewPrivileges=yes",
    "ProtectSystem=strict",
    "StateDirectory=caas-agent",
    "CapabilityBoundingSet=",
    "Restart=always",
    "PrivateDevices=yes",
  ])("holds %s", async (line) => {
    expect((await readFile(unitFile, "utf8")).split("\n")).toContain(line);
  });

  test.skipIf(!hasSystemd)("is taken by systemd, which finds little exposed", async () => {
    // systemd requires the program to exist; everything else is judged as it is.
    const unit = (await readFile(unitFile, "utf8")).replace("/usr/bin/node", process.execPath);
    const file = join(root, "caas-agent.service");
    await writeFile(file, unit);
    const { stdout, stderr } = await execute("systemd-analyze", ["verify", file]);
    expect(`${stdout}${stderr}`).toBe("");
    const judged = await execute("systemd-analyze", ["security", "--offline=true", "--threshold=20", file]);
    expect(judged.stdout).toContain("Overall exposure level");
  });
});
