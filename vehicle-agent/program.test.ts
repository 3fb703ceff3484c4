import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { emptyManifestHash, manifestHash } from "@caas/contract/manifest.ts";
import { topicOf } from "@caas/contract/topics.ts";
import mqtt from "mqtt";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import * as z from "zod";
import { readSlotFiles } from "./change/slots.ts";
import { failpointNames } from "./failpoints.ts";
import { openDirectoryStorage } from "./storage/storage.ts";
import { damageCar } from "./testing/damage-car.ts";
import { startTestBroker, type TestBroker } from "./testing/test-broker.ts";
import { startTestEnrolment, type TestEnrolment } from "./testing/test-enrolment.ts";
import { createTestSigner, entry, otherVin, testVin } from "./testing/test-signer.ts";

// The program itself, in processes of its own, killed for real.

const program = join(import.meta.dirname, "main.ts");
const signer = createTestSigner();
const base = entry("plataformaBase");
const seats = entry("asientosCalefactables");
const readySchema = z.strictObject({
  ready: z.literal(true),
  vin: z.string(),
  addresses: z.strictObject({ http: z.url(), local: z.url().optional() }),
});

let root: string;
let broker: TestBroker;
let enrolment: TestEnrolment;
let children: ChildProcess[];

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "caas-program-"));
  broker = await startTestBroker();
  enrolment = await startTestEnrolment(testVin, signer, broker.url);
  await writeFile(join(root, "package.json"), JSON.stringify(enrolment.package));
  children = [];
});
afterEach(async () => {
  for (const child of children) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill("SIGKILL");
    await once(child, "exit");
  }
  await broker.close();
  await enrolment.close();
  await rm(root, { recursive: true, force: true });
});

function runCar(environment: NodeJS.ProcessEnv = {}, args?: string[]) {
  const child = spawn(
    process.execPath,
    [program, ...(args ?? ["run", "--data", join(root, "car"), "--package", join(root, "package.json")])],
    {
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      env: { PATH: process.env.PATH, LOG_LEVEL: "warn", CAAS_AGENT_HTTP_PORT: "0", ...environment },
    },
  );
  children.push(child);
  const { stdout, stderr } = child;
  if (stdout === null || stderr === null) throw new Error("the program has no output");
  let errors = "";
  stderr.setEncoding("utf8").on("data", (chunk: string) => {
    errors += chunk;
  });
  // The exit may come before the last words have been read.
  const ended = Promise.all([once(child, "exit"), once(stderr, "close")]).then(([[code, signal]]) => ({
    code,
    signal,
    errors,
  }));
  const firstLine = once(createInterface({ input: stdout }), "line").then(([line]) => z.string().parse(line));
  firstLine.catch(() => undefined);
  const ready = Promise.race([
    firstLine.then((line) => readySchema.parse(JSON.parse(line))),
    ended.then(() => {
      throw new Error(`ended before it was ready: ${errors}`);
    }),
  ]);
  ready.catch(() => undefined);
  return { child, ready, ended, firstLine };
}

const report = (isWanted: Parameters<TestBroker["nextReport"]>[2], skip = 0) =>
  broker.nextReport(testVin, enrolment.proofKey(), isWanted, skip);
const manifest = (version: number, entries: (typeof base)[]) =>
  signer.manifest({ vin: testVin, proofKey: enrolment.proofKey() }, version, entries);

async function activeOnDisk() {
  const { slots } = await openDirectoryStorage(join(root, "car"));
  return readSlotFiles(await slots.read((await slots.active()) ?? "a"));
}

describe("the program caas-agent", () => {
  test("enrols, connects, prints that it is ready, applies, and disconnects in order on SIGTERM", async () => {
    const car = runCar();
    const { vin, addresses } = await car.ready;
    expect(vin).toBe(testVin);
    await broker.send(testVin, "manifest", manifest(1, [base]));
    await report(({ outcome }) => outcome?.version === 1);
    expect(await (await fetch(`${addresses.http}/health`)).json()).toMatchObject({ active: { version: 1 } });
    expect(await readdir(join(root, "car", "configuration", "active"))).toEqual(
      ["manifest.json", `plataformaBase.${base.id}.json`].sort(),
    );
    car.child.kill("SIGTERM");
    expect(await car.ended).toMatchObject({ code: 0, signal: null });
    expect(broker.messages.at(-1)).toMatchObject({
      topic: topicOf(testVin, "presence"),
      payload: '{"state":"offline","connection":1}',
    });
  });

  test("ends when its parent process is gone", async () => {
    const car = runCar();
    await car.ready;
    car.child.disconnect();
    expect(await car.ended).toMatchObject({ code: 0 });
  });

  test("enrol prints the car's identity; the token is not needed again", async () => {
    const args = ["enrol", "--package", join(root, "package.json"), "--data", join(root, "car")];
    const first = runCar({}, args);
    expect(JSON.parse(await first.firstLine)).toEqual({ enrolled: true, vin: testVin });
    expect(await first.ended).toMatchObject({ code: 0 });
    const second = runCar({}, ["run", "--data", join(root, "car")]);
    expect((await second.ready).vin).toBe(testVin);
    expect(enrolment.requests).toBe(1);
  });

  test("a probe command that fails rolls the car back", async () => {
    const probe = `grep -q '"version":1' "$CAAS_CONFIGURATION_DIR/manifest.json" || { echo seats do not answer >&2; exit 1; }`;
    const car = runCar({ CAAS_AGENT_PROBE_COMMAND: probe });
    await car.ready;
    await broker.send(testVin, "manifest", manifest(1, [base]));
    await report(({ outcome }) => outcome?.result === "applied");
    await broker.send(testVin, "manifest", manifest(2, [base, seats]));
    const answer = await report(({ outcome }) => outcome?.version === 2);
    expect(answer).toMatchObject({
      active: { version: 1, hash: manifestHash([base]) },
      outcome: { reason: "probeFailed", detail: "the probe said: seats do not answer", rolledBack: true },
    });
  });

  test.each([
    { fault: "no command", args: [], environment: {}, words: "say `enrol` or `run`" },
    { fault: "an unknown option", args: ["run", "--fly"], environment: {}, words: "--fly" },
    { fault: "no folder", args: ["run"], environment: {}, words: "--data" },
    {
      fault: "a bad environment",
      args: ["run"],
      environment: { CAAS_AGENT_HTTP_PORT: "http" },
      words: "CAAS_AGENT_HTTP_PORT",
    },
  ])("$fault is reported in one sentence, exit code 1", async ({ args, environment, words }) => {
    const { code, errors } = await runCar(environment, args).ended;
    expect(code).toBe(1);
    expect(errors).toContain(words);
    expect(errors).not.toContain("    at ");
  });

  test.runIf(process.platform === "linux").each(["/proc/caas/car", "/dev/null/car"])(
    "a folder that the file system refuses (%s) is said in one sentence, and the program ends [R18]",
    async (folder) => {
      const args = ["run", "--data", folder, "--package", join(root, "package.json")];
      const { code, errors } = await runCar({}, args).ended;
      expect(code).toBe(1);
      expect(errors).toContain(`the car's folder ${folder} cannot be used: `);
      expect(errors).not.toContain("    at ");
    },
  );

  test("an app in the car holds a change up, is given it afterwards, and so is the car's program", async () => {
    const appsFile = join(root, "apps.json");
    const given = join(root, "given.json");
    const passwordSha256 = createHash("sha256").update("of the seats").digest("base64url");
    const apps = [{ name: "seats", passwordSha256, reads: [seats.code], mayLock: true }];
    await writeFile(appsFile, JSON.stringify({ apps }));
    const car = runCar({
      CAAS_AGENT_LOCAL_PORT: "0",
      CAAS_AGENT_LOCAL_APPS_FILE: appsFile,
      CAAS_AGENT_APPLY_COMMAND: `cat > '${given}'`,
    });
    const { addresses } = await car.ready;
    const app = await mqtt.connectAsync(addresses.local ?? "", {
      ...{ clientId: "seats", username: "seats", password: "of the seats", reconnectPeriod: 0 },
    });
    const configured = new Promise<string>((resolve) =>
      app.on("message", (_topic, payload) => resolve(payload.toString())),
    );
    await app.subscribeAsync(`car/v1/configuration/${seats.code}`, { qos: 1 });
    await app.publishAsync("car/v1/lock/request", '{"seconds":600}', { qos: 1 });
    await broker.send(testVin, "manifest", manifest(1, [base, seats]));
    const waiting = await report(({ deferred }) => deferred !== null);
    expect(waiting).toMatchObject({ deferred: { version: 1, reason: "locked" }, active: { version: 0 } });
    expect(await (await fetch(`${addresses.http}/health`)).json()).toMatchObject({
      lifecycle: "deferred",
      deferred: { version: 1, reason: "locked" },
    });
    await app.publishAsync("car/v1/lock/release", "", { qos: 1 });
    await report(({ outcome }) => outcome?.result === "applied");
    expect(JSON.parse(await configured)).toMatchObject([
      { id: seats.id, configuration: seats.configuration },
    ]);
    expect(JSON.parse(await readFile(given, "utf8"))).toMatchObject({ version: 1 });
    car.child.kill("SIGTERM");
    expect(await car.ended).toMatchObject({ code: 0 });
    await app.endAsync(true);
  });

  test("two agents on one folder: the second is refused, and a killed one leaves no lock behind", async () => {
    const first = runCar();
    await first.ready;
    const second = await runCar().ended;
    expect(second).toMatchObject({ code: 1 });
    expect(second.errors).toContain("is in use by another agent");
    first.child.kill("SIGKILL");
    await first.ended;
    const third = runCar();
    expect((await third.ready).vin).toBe(testVin);
  });

  test("a port that is taken ends the program, and not the car's word", async () => {
    const first = runCar();
    const { addresses } = await first.ready;
    const other = await startTestEnrolment(otherVin, signer, broker.url);
    await writeFile(join(root, "other.json"), JSON.stringify(other.package));
    const second = runCar({ CAAS_AGENT_HTTP_PORT: new URL(addresses.http).port }, [
      "run",
      ...["--data", join(root, "other"), "--package", join(root, "other.json")],
    ]);
    const { code, errors } = await second.ended;
    await other.close();
    expect(code).toBe(1);
    expect(errors).toContain("EADDRINUSE");
  });

  test("the platform's whole answer in place of the package is told to be reduced to its package part [R3]", async () => {
    const answer = { vehicleId: "v", issue: 2, reason: "the control unit was replaced" };
    await writeFile(join(root, "package.json"), JSON.stringify({ ...answer, package: enrolment.package }));
    const { code, errors } = await runCar().ended;
    expect(code).toBe(1);
    expect(errors).toContain(
      'the enrolment package is its "package" part, and only that belongs in the file',
    );
    // Nor is a package with something beside its fields taken.
    await writeFile(join(root, "package.json"), JSON.stringify({ ...enrolment.package, issue: 2 }));
    expect((await runCar().ended).errors).toContain("Unrecognized key");
    expect(enrolment.requests).toBe(0);
  });

  test.each([
    {
      what: "a journal that was damaged",
      file: "journal.json",
      damage: "half",
      says: "journal.json.damaged-1",
    },
    {
      what: "a proof key that is missing",
      file: "keys/proof.pem",
      damage: "missing",
      says: "missing: keys/proof.pem",
    },
  ] as const)("$what is named as the cause at every start, not at the first alone [F2]", async (row) => {
    const car = runCar();
    await car.ready;
    car.child.kill("SIGTERM");
    await car.ended;
    await damageCar(join(root, "car"), new Map([[row.file, row.damage]]));
    for (const start of ["the first", "the second", "the third"]) {
      const waiting = runCar({}, ["run", "--data", join(root, "car")]);
      const told = await waiting.firstLine;
      expect([start, JSON.parse(told)]).toMatchObject([
        start,
        { needsEnrolment: true, cause: expect.stringContaining(row.says) },
      ]);
      expect(told).toContain("is not enrolled any more (");
      expect(told).toContain("name another enrolment package with --package");
      waiting.child.kill("SIGTERM");
      const { errors } = await waiting.ended;
      expect(errors).toContain(row.says);
    }
    const fresh = await runCar({}, ["run", "--data", join(root, "fresh")]).ended;
    expect(fresh.errors).toContain("fresh is not enrolled: name the enrolment package with --package");
  });

  test.each(["run", "enrol"])(
    "%s with another car's package on an enrolled folder ends with a sentence, and the car stays what it is",
    async (command) => {
      const car = runCar();
      await car.ready;
      car.child.kill("SIGTERM");
      await car.ended;
      const file = join(root, "other.json");
      await writeFile(file, JSON.stringify({ ...enrolment.package, vin: otherVin }));
      const given = ["--data", join(root, "car"), "--package", file];
      expect(await runCar({}, [command, ...given]).ended).toMatchObject({
        code: 1,
        errors:
          `caas-agent: ${file} does not belong here: the folder is enrolled as ${testVin}, ` +
          `and the package is for ${otherVin}\n`,
      });
      const again = runCar({}, ["run", "--data", join(root, "car")]);
      expect((await again.ready).vin).toBe(testVin);
    },
  );

  test("a package that is none is refused by name of its field", async () => {
    await writeFile(
      join(root, "package.json"),
      JSON.stringify({ ...enrolment.package, vin: "1M8GDM9AOKP042788" }),
    );
    const { code, errors } = await runCar().ended;
    expect(code).toBe(1);
    expect(errors).toContain("vin");
  });
});

describe("killed at every step of applying, in a process of its own [fault 9]", () => {
  const unhealthyAt2 = `! grep -q '"version":2' "$CAAS_CONFIGURATION_DIR/manifest.json"`;
  const failed = (reason: string) => ({ result: "failed", reason, rolledBack: true });
  const applied = { result: "applied" };

  const rows = [
    { step: "afterIntent:2", probe: "", active: base, outcome: failed("interrupted") },
    { step: "afterStage:2", probe: "", active: base, outcome: failed("interrupted") },
    { step: "afterSwitch:2", probe: "", active: seats, outcome: applied },
    { step: "afterHealthCheck:2", probe: "", active: seats, outcome: applied },
    { step: "afterOutcome:2", probe: "", active: seats, outcome: applied },
    // The first report is that of the connection, the second that of version 1.
    { step: "beforeReport:3", probe: "", active: seats, outcome: applied },
    { step: "beforeRollBack", probe: unhealthyAt2, active: base, outcome: failed("probeFailed") },
    { step: "afterRollBack", probe: unhealthyAt2, active: base, outcome: failed("probeFailed") },
  ];
  test("there is a row for every place on that way; deferral.test.ts and certificate.test.ts have the others", () => {
    const elsewhere = ["afterDeferral", "afterForgetting", "beforeCertificate", "afterCertificate"];
    expect(rows.map(({ step }) => step.split(":")[0]).sort()).toEqual(
      failpointNames.filter((name) => !elsewhere.includes(name)).sort(),
    );
  });

  test.each(rows)(
    "kill -9 at $step: old or new, reported once and for all [fault 3]",
    async ({ step, ...row }) => {
      const doomed = runCar({ CAAS_AGENT_CRASH_AT: step, CAAS_AGENT_PROBE_COMMAND: row.probe });
      await doomed.ready;
      await broker.send(testVin, "manifest", manifest(1, [base]));
      await report(({ outcome }) => outcome?.version === 1);
      await broker.send(testVin, "manifest", manifest(2, [seats]));
      expect(await doomed.ended).toMatchObject({ signal: "SIGKILL" });
      // At this moment the car's programs see a complete configuration.
      const seen = await activeOnDisk();
      expect(seen.kind).toBe("intact");
      expect([manifestHash([base]), manifestHash([seats])]).toContain(seen.hash);
      const died = broker.messages.length;

      const car = runCar({ CAAS_AGENT_PROBE_COMMAND: row.probe });
      await car.ready;
      const hash = manifestHash([row.active]);
      const answer = await report(() => true, died);
      expect(answer).toMatchObject({ active: { hash }, outcome: { version: 2, ...row.outcome } });
      expect(await activeOnDisk()).toMatchObject({ kind: "intact", hash });
      expect(await readFile(join(root, "car", "configuration", "active", "manifest.json"), "utf8")).toContain(
        hash,
      );

      // The re-send that the control plane makes meanwhile has no second effect.
      const before = answer.seq;
      await broker.send(testVin, "manifest", manifest(2, [seats]));
      const repeated = await report(({ seq }) => seq > before, died);
      expect(repeated.outcome).toEqual(answer.outcome);
      expect(repeated.active).toEqual(answer.active);
    },
  );

  test("killed during its first report, a new car still starts with an empty configuration", async () => {
    const doomed = runCar({ CAAS_AGENT_CRASH_AT: "beforeReport" });
    expect(await doomed.ended).toMatchObject({ signal: "SIGKILL" });
    const car = runCar();
    await car.ready;
    const first = await report(() => true);
    expect(first).toMatchObject({ active: { version: 0, hash: emptyManifestHash }, outcome: null });
    expect(enrolment.requests).toBe(1);
  });
});
