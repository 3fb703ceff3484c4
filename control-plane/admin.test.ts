import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../test/servers/database.ts";
import { verifyPassword } from "./http/passwords.ts";

const program = fileURLToPath(new URL("admin.ts", import.meta.url));
let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase("admin");
});
afterAll(() => database.drop());

type Ended = { code: number; stdout: string; stderr: string };

function run(
  args: readonly string[],
  options: { stdin?: string; databaseUrl?: string } = {},
): Promise<Ended> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [program, ...args],
      { env: { ...process.env, DATABASE_URL: options.databaseUrl ?? database.url } },
      (error, stdout, stderr) =>
        resolve({
          code: error === null ? 0 : typeof error.code === "number" ? error.code : -1,
          stdout,
          stderr,
        }),
    );
    child.stdin?.end(options.stdin ?? "");
  });
}

const inFull = ["create-staff", "--name", "Ana Gil", "--email", "Ana@Caas.Example", "--role", "sales"];

async function storedPassword(email: string): Promise<string> {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  try {
    const { rows } = await client.query(
      `select password from auth_accounts join auth_users on auth_users.id = "userId" where email = $1`,
      [email],
    );
    return String(rows[0]?.password);
  } finally {
    await client.end();
  }
}

test("an employee gets an account with a generated password, printed this once", async () => {
  const ended = await run([...inFull, "--dealership", "Ribera"]);
  expect(ended).toMatchObject({ code: 0, stderr: "" });
  const password = /password \(shown only now\): (\S+)/.exec(ended.stdout)?.[1] ?? "";
  expect(await verifyPassword(await storedPassword("ana@caas.example"), password)).toBe(true);
  expect(await run([...inFull, "--dealership", "Ribera"])).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("already"),
  });
});

test("a password from standard input is taken and not printed", async () => {
  const args = ["create-staff", "--name", "Leo Sanz", "--email", "leo@caas.example", "--role", "support"];
  const ended = await run([...args, "--password-stdin"], { stdin: "una contraseña larga\n" });
  expect(ended).toMatchObject({ code: 0 });
  expect(ended.stdout).not.toContain("una contraseña larga");
  expect(await verifyPassword(await storedPassword("leo@caas.example"), "una contraseña larga")).toBe(true);
});

test("a password from standard input that is common is refused, and no account is made [R20]", async () => {
  const args = ["create-staff", "--name", "Eva Sanz", "--email", "eva@caas.example", "--role", "support"];
  const ended = await run([...args, "--password-stdin"], { stdin: "password1234\n" });
  expect(ended).toMatchObject({ code: 2, stdout: "", stderr: expect.stringContaining("too easy to guess") });
  expect(await storedPassword("eva@caas.example")).toBe("undefined");
});

test.each([
  ["no command", [], {}, "create-staff"],
  ["an unknown option", [...inFull, "--salary", "1"], {}, "--salary"],
  ["sales without a dealership", inFull, {}, "the role sales needs --dealership"],
  [
    "a dealership of someone who is not in sales",
    [...inFull.with(-1, "support"), "--dealership", "Ribera"],
    {},
    "--dealership belongs to the role sales only",
  ],
  [
    "a role that does not exist",
    ["create-staff", "--name", "A", "--email", "a@b.example", "--role", "king"],
    {},
    "role",
  ],
  [
    "an e-mail address without a dot in its domain [F19]",
    ["create-staff", "--name", "Ana", "--email", "ana@localhost", "--role", "admin"],
    {},
    "email",
  ],
  [
    "a name that looks empty [R14]",
    ["create-staff", "--name", "\u200B", "--email", "ana@caas.example", "--role", "admin"],
    {},
    "name",
  ],
  ["a short password", [...inFull, "--dealership", "Ribera", "--password-stdin"], { stdin: "short" }, "12"],
  [
    "a broken DATABASE_URL",
    [...inFull, "--dealership", "Ribera"],
    { databaseUrl: "nonsense" },
    "DATABASE_URL",
  ],
] as const)("%s ends with code 2 and names what is wrong", async (_what, args, options, named) => {
  const ended = await run(args, options);
  expect(ended.code).toBe(2);
  expect(ended.stderr).toContain(named);
});
