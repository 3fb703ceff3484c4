import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { builtinModules } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { manifestHash } from "@caas/contract/manifest.ts";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { bundleAgent } from "./bundle.ts";
import { startTestBroker } from "./testing/test-broker.ts";
import { startTestEnrolment } from "./testing/test-enrolment.ts";
import { createTestSigner, entry, testVin } from "./testing/test-signer.ts";

// The one file a car gets, alone in a folder without node_modules.

/** As the systemd unit starts it. */
const flags = ["--max-semi-space-size=1", "--max-old-space-size=64"];

let root: string;
let file: string;
let children: ChildProcess[] = [];
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "caas-bundle-"));
  file = join(root, "caas-agent.mjs");
  await bundleAgent(file);
});
afterEach(async () => {
  for (const child of children) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill("SIGKILL");
    await once(child, "exit");
  }
  children = [];
});
afterAll(() => rm(root, { recursive: true, force: true }));

function run(...args: string[]) {
  const child = spawn(process.execPath, [...flags, file, ...args], {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
    env: { LOG_LEVEL: "warn", CAAS_AGENT_LOCAL_PORT: "0" },
  });
  children.push(child);
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    errors += chunk;
  });
  const ended = once(child, "exit").then(([code]) => ({ code, errors }));
  const line = once(createInterface({ input: child.stdout }), "line").then(([text]) =>
    z.string().parse(text),
  );
  return { child, ended, line };
}

/** Resident memory of a process in megabytes, as the kernel counts it. */
async function residentMb(pid: number | undefined): Promise<number> {
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kilobytes) / 1024;
}

describe("the bundle", () => {
  test("is one file that imports only Node's own modules", async () => {
    expect((await readdir(root)).filter((name) => name.startsWith("caas-agent"))).toEqual(["caas-agent.mjs"]);
    const text = await readFile(file, "utf8");
    const imported = [...text.matchAll(/^import .*?from "([^"]+)";$/gm)].map(([, name = ""]) => name);
    expect(imported.length).toBeGreaterThan(5);
    const known = new Set(builtinModules);
    expect(imported.filter((name) => !known.has(name.replace(/^node:/, "")))).toEqual([]);
  });

  test("explains itself", async () => {
    const { line, ended } = run("--help");
    expect(await line).toContain("caas-agent");
    expect(await ended).toEqual({ code: 0, errors: "" });
  });

  test("enrols, runs, applies a hundred changes over a dozen connections, within its memory, and leaves", async () => {
    const signer = createTestSigner();
    const broker = await startTestBroker();
    const enrolment = await startTestEnrolment(testVin, signer, broker.url);
    await writeFile(join(root, "package.json"), JSON.stringify(enrolment.package));
    const enrolled = run("enrol", "--data", join(root, "car"), "--package", join(root, "package.json"));
    expect(JSON.parse(await enrolled.line)).toEqual({ enrolled: true, vin: testVin });
    await enrolled.ended;

    const car = run("run", "--data", join(root, "car"));
    expect(JSON.parse(await car.line)).toMatchObject({ ready: true, vin: testVin });
    const entries = [entry("plataformaBase"), entry("asientosCalefactables")];
    for (let version = 1; version <= 100; version += 1) {
      const to = { vin: testVin, proofKey: enrolment.proofKey() };
      const present = version % 2 === 0 ? entries : entries.slice(0, 1);
      const issuedAt = new Date().toISOString();
      await broker.send(testVin, "manifest", signer.manifest(to, version, present, { issuedAt }));
      const proved = await broker.nextReport(
        testVin,
        enrolment.proofKey(),
        ({ outcome }) => outcome?.version === version,
        Math.max(0, broker.messages.length - 8),
      );
      expect(proved).toMatchObject({
        outcome: { result: "applied" },
        active: { hash: manifestHash(present) },
      });
      if (version % 8 !== 0) continue;
      const seen = broker.messages.length;
      broker.cut();
      await broker.nextReport(testVin, enrolment.proofKey(), () => true, seen);
    }
    // Megabytes of 2^20 bytes, some 10 below this right after; `npm run bench -- agent` watches for an hour.
    expect(await residentMb(car.child.pid)).toBeLessThan(96);
    car.child.kill("SIGTERM");
    // No listener piled up: Node would have warned.
    const { code, errors } = await car.ended;
    expect({ code, warnings: errors.match(/MaxListeners.*/g) }).toEqual({ code: 0, warnings: null });
    await enrolment.close();
    await broker.close();
  });
});
