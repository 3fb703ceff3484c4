import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type Client, createClient } from "@caas/contract/client/client.ts";
import { listTheActivationsOfAVehicle } from "@caas/contract/client/generated.ts";
import { openDatabase } from "@caas/control-plane/store/database.ts";
import { afterAll, beforeAll, expect, test } from "vitest";
import { signIn } from "./story/cast.ts";
import { npmStart, type Run, signal } from "./testing/npm-start.ts";

// Someone who has just started the platform pastes the README's walk; an operator types what a runbook says.

const root = fileURLToPath(new URL("..", import.meta.url));
const bin = join(root, "node_modules/.bin");
const execute = promisify(execFile);
const read = (path: string) => readFileSync(join(root, path), "utf8");

/** Stands for the checkout: its data folder is `data`. */
let folder: string;
let run: Run;
let variables: Map<string, string>;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "caas-walk-"));
  run = npmStart("--cars", "1", "--data", join(folder, "data"));
  await run.until("It stays up until ^C");
  const exports = run.lines.flatMap((line) => [...line.matchAll(/^export (\w+)='(.*)'$/g)]);
  variables = new Map(exports.map(([, name = "", value = ""]) => [name, value]));
}, 90_000);

afterAll(async () => {
  signal(run, "SIGINT");
  await run.ended;
  rmSync(folder, { recursive: true, force: true });
});

/** In a shell that knows nothing but where programs are. */
async function shell(script: string): Promise<string> {
  const { stdout } = await execute("sh", ["-eu", "-c", script], {
    cwd: folder,
    env: { PATH: `${bin}:${process.env.PATH ?? ""}` },
    timeout: 30_000,
  });
  return stdout;
}

test("the README's walk is pasted whole, and ends in a denial that cost nothing [N14]", async () => {
  const walk = /## A walk through it\n[\s\S]*?```sh\n([\s\S]*?)```/.exec(read("README.md"))?.[1] ?? "";
  expect(walk).toContain(". data/walk.sh");
  const told = await shell(walk);
  for (const answer of [
    '"event":"saleRegistered"',
    "Your access to Car-as-a-Service",
    '"state":"ServiceDenied"',
  ])
    expect(told).toContain(answer);
  expect(told).toContain('"status":"current"');
  expect(told).not.toMatch(/"status":[45]\d\d/);
  // Each answer is a line or more of its own, and mails are read as text.
  expect(told).not.toContain("}{");
  expect(told).not.toMatch(/<html|<table/i);
});

test("what is printed is what is kept, and only its user may read it [N14]", () => {
  const path = join(folder, "data/walk.sh");
  const printed = [...variables].map(([name, value]) => `export ${name}='${value}'\n`).join("");
  expect(readFileSync(path, "utf8")).toBe(printed);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  for (const name of [
    "API",
    "DATABASE_URL",
    "VSS",
    "INBOX",
    "SALES_PASSWORD",
    "CUSTOMER_PASSWORD",
    "VIN",
    "VEHICLE",
  ])
    expect([...variables.keys()]).toContain(name);
  // The mailbox of the customer whose car it is, not the last of hundreds.
  expect(run.lines.join("\n")).toContain(
    `/?to=${encodeURIComponent(variables.get("CUSTOMER_USERNAME") ?? "")}`,
  );
});

test("each command of the runbook does what it says there [N12]", async () => {
  const commands = [...read("dashboards/alerts.md").matchAll(/`((?:GET|POST|npx) [^`]+)`/g)].map(
    ([, text = ""]) => text,
  );
  // What would be a command of another kind is not left out unnoticed.
  expect(read("dashboards/alerts.md")).not.toMatch(/`(?:select|update|delete|insert|curl|psql|PUT|DELETE) /i);
  const get = (name: string) => variables.get(name) ?? "";
  const rest = createClient({ baseUrl: new URL(get("API")).origin });
  const login = (role: string) => ({ username: get(`${role}_USERNAME`), password: get(`${role}_PASSWORD`) });
  const [support, admin] = [await signIn(rest, login("SUPPORT")), await signIn(rest, login("ADMIN"))];
  const { activations } = await listTheActivationsOfAVehicle(get("VEHICLE"), support);
  const jobId = await exhaustJob(get("DATABASE_URL"));
  const bodies: Record<string, object> = {
    "POST /api/vehicles/{vehicleId}/revocation": { reason: "it speaks with two tongues" },
  };

  const done: string[] = [];
  // What ends a car's identity comes last.
  for (const command of commands.toSorted((one, other) => Number(one in bodies) - Number(other in bodies))) {
    const [program = "", ...words] = command
      .replace("{vehicleId}", get("VEHICLE"))
      .replace("{id}", activations[0]?.id ?? "")
      .replace("ID", String(jobId))
      .split(" ");
    if (program === "npx") {
      const told = await shell(`export DATABASE_URL='${get("DATABASE_URL")}'; ${words.join(" ")}`);
      done.push(`${command}: ${told.trim().split("\n")[0]}`);
    } else {
      const caller: Client = command in bodies ? admin : support;
      const answer = await fetch(`${caller.baseUrl}${words[0]}`, {
        method: program,
        headers: {
          authorization: `Bearer ${caller.token}`,
          ...(command in bodies ? { "content-type": "application/json", "idempotency-key": "runbook" } : {}),
        },
        body: command in bodies ? JSON.stringify(bodies[command]) : null,
      });
      done.push(`${command}: ${answer.status}`);
    }
  }
  expect(done.toSorted()).toEqual([
    "GET /api/activations/{id}/explanation: 200",
    "GET /api/invariants: 200",
    "GET /api/tasks?team=support&status=open: 200",
    "GET /api/vehicles/{vehicleId}/maintenance: 200",
    "POST /api/vehicles/{vehicleId}/revocation: 200",
    `npx caas-admin list-jobs: ${jobId}  sendMail  25 attempts  the mailbox is closed`,
    "npx caas-admin retry-jobs ID: 1 job runs again",
  ]);
});

/** A job that has used up its attempts. @returns its number */
async function exhaustJob(databaseUrl: string): Promise<number> {
  const { db, close } = openDatabase(databaseUrl, 1, () => undefined);
  try {
    const { id } = await db
      .insertInto("jobs")
      .values({
        kind: "sendMail",
        payload: JSON.stringify({ notificationId: "00000000-0000-7000-8000-000000000000" }),
        due_at: new Date(),
        attempts: 25,
        max_attempts: 25,
        last_error: "the mailbox is closed",
      })
      .returning("id")
      .executeTakeFirstOrThrow();
    return id;
  } finally {
    await close();
  }
}
