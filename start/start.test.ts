import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openStandIn } from "@caas/simulator/stand-ins/client.ts";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { measureTree } from "./processes.ts";
import { npmStart, type Run, signal } from "./testing/npm-start.ts";

// What a person does with `npm start`: type it, look, press ^C.

/** Of the whole tree after ^C. */
const stopLimitMs = 5_000;

let dataDir: string;
let runs: Run[];

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "caas-start-"));
  runs = [];
});

afterEach(async () => {
  for (const run of runs)
    if (run.process.exitCode === null && run.process.signalCode === null && run.process.pid !== undefined)
      signal(run, "SIGTERM");
  await Promise.all(runs.map(({ ended }) => ended));
  rmSync(dataDir, { recursive: true, force: true });
});

/** As `npmStart`, and ended with the test. */
function start(...args: string[]): Run {
  const run = npmStart(...args);
  runs.push(run);
  return run;
}

/** Every process below `pid`, itself included, with the start time that tells it from a later one of its number. */
function listTree(pid: number): Map<number, string> {
  const stats = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const fields = readStat(Number(name));
      return fields === undefined
        ? []
        : [{ pid: Number(name), parent: Number(fields[1]), startedAt: fields[19] ?? "" }];
    });
  const tree = new Map<number, string>();
  const add = (wanted: number) => {
    for (const found of stats) {
      if (found.pid === wanted) tree.set(found.pid, found.startedAt);
      if (found.parent === wanted) add(found.pid);
    }
  };
  add(pid);
  return tree;
}

function readStat(pid: number): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  } catch {
    return undefined;
  }
}

function listLeftovers(tree: Map<number, string>): string[] {
  return [...tree].flatMap(([pid, startedAt]) => {
    const fields = readStat(pid);
    const isSame = fields !== undefined && fields[19] === startedAt && fields[0] !== "Z";
    return isSame ? [`${pid} ${readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ")}`] : [];
  });
}

test("npm start plays the story and stays up; ^C stops everything within 5 s and leaves no process behind", {
  timeout: 120_000,
}, async () => {
  const run = start("--cars", "3", "--data", dataDir);
  await run.until("Selling 2 more cars");
  // The walk need not wait for them.
  expect(readFileSync(join(dataDir, "walk.sh"), "utf8")).toMatch(/^export CAR=/m);
  await run.until("It stays up until ^C");
  const { pid } = run.process;
  if (pid === undefined) throw new Error("npm has no process");
  const tree = listTree(pid);
  expect(tree.size).toBeGreaterThan(10);
  expect(measureTree(pid)?.pssBytes).toBeGreaterThan(100_000_000);
  const rest = /REST interface\s+(\S+)/.exec(run.lines.join("\n"))?.[1];
  expect((await fetch(`${rest}/ready`)).status).toBe(200);
  expect(run.lines.join("\n")).toMatch(/2 of 2 sold, delivered and linked/);
  expect(readdirSync(join(dataDir, "cars"))).toHaveLength(2);

  // Nobody else starts on this folder meanwhile.
  const second = start("--no-story", "--data", dataDir);
  expect(await second.ended).toBe(1);
  expect(second.errors.join("\n")).toMatch(/is in use by process \d+ .*--data DIR names another/);

  const stoppingAt = performance.now();
  signal(run, "SIGINT");
  // npm and its shell pass ^C on to themselves once the platform has ended, so they have no code of their own.
  await run.ended;
  expect(run.lines.at(-1)).toMatch(/^Stopped in/);
  expect(performance.now() - stoppingAt).toBeLessThan(stopLimitMs);
  expect(listLeftovers(tree)).toEqual([]);
  expect(existsSync(join(dataDir, "lock.json"))).toBe(false);

  // The same folder again: the cars simply come up.
  const again = start("--no-story", "--cars", "3", "--data", dataDir);
  expect(await again.until("Ready in")).toContain("2 demo cars connected");
  signal(again, "SIGINT");
  await again.ended;
});

test("whoever ends npm ends the platform: `npm start & kill $!` leaves no part behind [F22]", {
  timeout: 90_000,
}, async () => {
  const run = start("--no-story", "--cars", "1", "--data", dataDir);
  await run.until("It stays up until ^C");
  const { pid } = run.process;
  if (pid === undefined) throw new Error("npm has no process");
  const tree = listTree(pid);
  expect(tree.size).toBeGreaterThan(6);
  process.kill(pid, "SIGTERM");
  // Its output ends with the last process that holds it.
  await run.ended;
  expect(run.lines.at(-1)).toMatch(/^Stopped in/);
  // The database's watchdog was killed a moment ago, and is still ending.
  await vi.waitFor(() => expect(listLeftovers(tree)).toEqual([]));
});

test("a story that fails ends nothing: what is set is told, and cars of earlier stories drive again [N13, R15]", {
  timeout: 120_000,
}, async () => {
  const first = start("--cars", "1", "--data", dataDir);
  await first.until("It stays up until ^C");
  const transport = /^export TRANSPORT='(.*)'$/m.exec(first.lines.join("\n"))?.[1] ?? "";
  await openStandIn(transport).put("/_control/pace", { mode: "manual" });
  signal(first, "SIGINT");
  await first.ended;
  const [vin = ""] = readdirSync(join(dataDir, "story-cars"));
  // The dealership's login is wrong from now on, so that the story fails at once.
  const secrets = join(dataDir, "secrets.json");
  writeFileSync(secrets, readFileSync(secrets, "utf8").replace(/"sales": "\w{4}/, '"sales": "xxxx'), {
    mode: 0o644,
  });
  chmodSync(secrets, 0o644);

  const second = start("--cars", "1", "--data", dataDir);
  expect(await second.until("Ready in")).toContain("1 demo cars connected");
  await second.until("It stays up until ^C");
  const told = second.lines.join("\n");
  expect(told).toContain(`${secrets} could be read by other users (mode 644)`);
  expect(told).toMatch(
    /pace of the stand-in transport: someone has set \{"mode":"manual"\}\. Back as it was: curl -X DELETE http\S+\/_control\/pace/,
  );
  expect(told).toMatch(/^The story failed .*\. The platform stays up\.$/m);
  // The customer's car is among the others now: no other car is called hers.
  const walk = readFileSync(join(dataDir, "walk.sh"), "utf8");
  expect(walk).toContain(`export VIN='${vin}'`);
  expect(walk).not.toContain("export CAR=");
  expect([...second.lines, ...second.errors].filter((line) => /^\s+at /.test(line))).toEqual([]);
  expect(readdirSync(join(dataDir, "cars"))).toEqual([vin]);
  const rest = /REST interface\s+(\S+)/.exec(told)?.[1];
  expect(await (await fetch(`${rest}/metrics`)).text()).toContain("caas_cars_online 1\n");
});

test("damaged demo cars are counted as off, and named with what to do, at every start [F2]", {
  timeout: 180_000,
}, async () => {
  const first = start("--cars", "5", "--data", dataDir);
  await first.until("It stays up until ^C");
  signal(first, "SIGINT");
  await first.ended;
  const cars = join(dataDir, "cars");
  const [journal = "", folder = "", key = "", healthy = ""] = readdirSync(cars);
  writeFileSync(join(cars, journal, "journal.json"), '{"seq":');
  rmSync(join(cars, folder), { recursive: true });
  mkdirSync(join(cars, folder));
  rmSync(join(cars, key, "keys", "proof.pem"));

  // The first start makes another key, to try the package at hand: afterwards the identity is what is known to be gone.
  const starts = [
    { time: "the first", keyLoss: "missing: keys/proof.pem" },
    { time: "the second", keyLoss: "set aside: identity.json.damaged-1" },
  ];
  for (const { time, keyLoss } of starts) {
    const run = start("--no-story", "--cars", "5", "--data", dataDir);
    expect([time, await run.until("Ready in")]).toEqual([
      time,
      expect.stringContaining("1 of 4 demo cars connected"),
    ]);
    await run.until("It stays up until ^C");
    const told = run.lines.join("\n");
    expect(told).toMatch(new RegExp(`${journal} stays off: .*journal\\.json`));
    expect(told).toMatch(new RegExp(`${folder} stays off: cannot read the enrolment package`));
    expect(told).toMatch(new RegExp(`${key} stays off: .*${RegExp.escape(keyLoss)}`));
    expect(told).not.toContain(`${healthy} stays off`);
    expect(told).toContain("needs another enrolment package");
    const address = /(http\S+)\/metrics {2}\(the other cars\)/.exec(told)?.[1];
    for (const path of ["/", "/health", "/display"]) {
      const answer = await fetch(`${address}${path}`);
      expect([path, answer.status, await answer.json()]).toMatchObject([
        path,
        200,
        { cars: 4, connected: 1, off: { length: 3 } },
      ]);
    }
    signal(run, "SIGINT");
    await run.ended;
  }
});

test("a part that dies ends the whole, with a sentence and a code that is not zero", {
  timeout: 90_000,
}, async () => {
  const run = start("--no-story", "--cars", "1", "--data", dataDir);
  await run.until("It stays up until ^C");
  const { pid } = run.process;
  if (pid === undefined) throw new Error("npm has no process");
  const tree = listTree(pid);
  const broker = [...tree.keys()].find((one) =>
    readFileSync(`/proc/${one}/cmdline`, "utf8").includes("broker/main.ts"),
  );
  if (broker === undefined) throw new Error("there is no broker");
  process.kill(broker, "SIGKILL");
  expect(await run.ended).toBe(1);
  expect(run.errors.join("\n")).toContain("broker ended by itself with SIGKILL.");
  expect(listLeftovers(tree)).toEqual([]);
});

test("--once --json ends with one line that says how the story went, and leaves no folder behind", {
  timeout: 90_000,
}, async () => {
  const before = new Set(readdirSync(tmpdir()));
  const run = start("--once", "--json");
  expect(await run.ended).toBe(0);
  const told: unknown = JSON.parse(run.lines.at(-1) ?? "");
  expect(told).toMatchObject({
    ok: true,
    vehicleState: "Operational",
    activationState: "ServiceActive",
    payment: "captured",
  });
  expect(Object.keys(told ?? {})).toEqual([
    "ok",
    "vehicleState",
    "activationState",
    "payment",
    "steps",
    "totalMs",
  ]);
  expect(readdirSync(tmpdir()).filter((name) => name.startsWith("caas-once-") && !before.has(name))).toEqual(
    [],
  );
});

test.each([
  { args: ["--cars", "none"], says: "1 to 200 cars" },
  { args: ["--ports", "mine"], says: "Allowed choices are default, free" },
  { args: ["--colour"], says: "unknown option '--colour'" },
])("$args is wrong use", async ({ args, says }) => {
  const run = start(...args);
  expect(await run.ended).toBe(2);
  expect(run.errors.join("\n")).toContain(says);
});

test("an outside partner means no story, said before anything is played", { timeout: 60_000 }, async () => {
  process.env.FACTORY_URL = "http://127.0.0.1:9";
  try {
    const run = start("--once", "--json");
    expect(await run.ended).toBe(1);
    expect(JSON.parse(run.lines.at(-1) ?? "")).toMatchObject({ ok: false, step: "start" });
    expect(run.errors.join("\n")).toContain(
      "The story cannot be played: it plays the people of our own stand-ins, and here factory is an outside system",
    );
  } finally {
    delete process.env.FACTORY_URL;
  }
});
