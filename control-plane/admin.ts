#!/usr/bin/env node
import { text } from "node:stream/consumers";
import { parseArgs } from "node:util";
import { explainVariables } from "@caas/contract/explain-variables.ts";
import * as z from "zod";
import { databaseUrlSchema } from "./config.ts";
import { createDealership, createStaff, type NewStaff } from "./features/accounts/create-staff.ts";
import { emailSchema, nameSchema } from "./http/contact-fields.ts";
import { judgePassword, longestPassword, shortestPassword } from "./http/password-policy.ts";
import { generatePassword } from "./http/passwords.ts";
import { type Db, openDatabase, type Transaction } from "./store/database.ts";
import { isTableMissing } from "./store/database-errors.ts";
import { listExhaustedJobs, retryExhaustedJobs } from "./store/exhausted-jobs.ts";

const help = `caas-admin: what an operator does at the database, where nobody can sign in yet or a job waits for a person

  caas-admin create-staff --name NAME --email EMAIL --role admin|support|sales [--dealership NAME] [--password-stdin]
  caas-admin list-jobs        jobs that have used up their attempts: number, kind, attempts, last error
  caas-admin retry-jobs ID …  gives these jobs all their attempts again, at once

  --dealership      where a sales employee works; made if there is none of this name
  --password-stdin  read the password (12 characters or more, not a common one) from standard input;
                    without it one is generated and printed, this once
  --help            this text

DATABASE_URL names the database, which must be migrated: the control plane does that when it starts.
`;

const usageError = 2;

const argumentsSchema = z
  .strictObject({
    name: nameSchema,
    email: emailSchema,
    role: z.enum(["admin", "support", "sales"]),
    dealership: nameSchema.optional(),
  })
  .refine(({ role, dealership }) => role !== "sales" || dealership !== undefined, {
    path: ["dealership"],
    message: "must be given: the role sales needs --dealership",
  })
  .refine(({ role, dealership }) => role === "sales" || dealership === undefined, {
    path: ["dealership"],
    message: "belongs to the role sales only",
  });
type Arguments = z.infer<typeof argumentsSchema>;

const environmentSchema = z.object({ DATABASE_URL: databaseUrlSchema });
const passwordSchema = z.object({ password: z.string().min(shortestPassword).max(longestPassword) });
const idsSchema = z
  .array(
    z
      .string()
      .regex(/^[1-9]\d{0,14}$/)
      .transform(Number),
  )
  .min(1);

function fail(message: string, code: number): never {
  process.stderr.write(`caas-admin: ${message}\n`);
  process.exit(code);
}

/** @param before each name as a person types it */
function parseOrFail<T>(schema: z.ZodType<T>, given: Record<string, unknown>, before = ""): T {
  const parsed = schema.safeParse(given);
  if (parsed.success) return parsed.data;
  const lines = explainVariables(parsed.error, given).map((line) => `${before}${line}`);
  return fail(`${lines.join("\n  ")} (see --help)`, usageError);
}

function readCommandLine() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        name: { type: "string" },
        email: { type: "string" },
        role: { type: "string" },
        dealership: { type: "string" },
        "password-stdin": { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    });
  } catch (error) {
    return fail(`${error instanceof Error ? error.message : String(error)} (see --help)`, usageError);
  }
}

type CommandLine = ReturnType<typeof readCommandLine>;

/** What the command line asks for, checked before the database is opened; the lines it prints. */
async function readCommand({ values, positionals }: CommandLine): Promise<(db: Db) => Promise<string[]>> {
  const [command, ...rest] = positionals;
  const { "password-stdin": fromStdin, help: _help, ...given } = values;
  if (command === "create-staff" && rest.length === 0) {
    const person = parseOrFail(argumentsSchema, given, "--");
    const password = fromStdin
      ? parseOrFail(passwordSchema, { password: (await text(process.stdin)).replace(/\r?\n$/, "") }).password
      : generatePassword();
    const weakness = fromStdin ? await judgePassword(password, [person.email, person.name]) : null;
    if (weakness !== null) fail(`the password ${weakness}`, usageError);
    return (db) => addStaff(db, person, password, fromStdin);
  }
  if (command === "list-jobs" && rest.length === 0) return listJobs;
  if (command === "retry-jobs") {
    const ids = idsSchema.safeParse(rest);
    if (!ids.success) fail("retry-jobs takes the numbers that list-jobs prints", usageError);
    return (db) => retryJobs(db, ids.data);
  }
  return fail("the commands are create-staff, list-jobs and retry-jobs; --help says more", usageError);
}

async function addStaff(db: Db, given: Arguments, password: string, isKnown: boolean): Promise<string[]> {
  const outcome = await db.transaction().execute((tx) => insertStaff(tx, given, password));
  if (outcome === "emailTaken") fail(`an account with ${given.email} exists already`, 1);
  return [
    `${given.email} may sign in as ${given.role}`,
    ...(isKnown ? [] : [`password (shown only now): ${password}`]),
  ];
}

async function insertStaff(
  tx: Transaction,
  given: Arguments,
  password: string,
): Promise<string | "emailTaken"> {
  const common = { name: given.name, email: given.email, password };
  const staff: NewStaff =
    given.role === "sales"
      ? { ...common, role: "sales", dealershipId: await createDealership(tx, given.dealership ?? "") }
      : { ...common, role: given.role, dealershipId: null };
  return createStaff(tx, staff);
}

async function listJobs(db: Db): Promise<string[]> {
  const jobs = await listExhaustedJobs(db);
  if (jobs.length === 0) return ["no job has used up its attempts"];
  return jobs.map(
    ({ id, kind, attempts, lastError }) => `${id}  ${kind}  ${attempts} attempts  ${lastError ?? ""}`,
  );
}

async function retryJobs(db: Db, ids: readonly number[]): Promise<string[]> {
  const again = await db.transaction().execute((tx) => retryExhaustedJobs(tx, ids));
  const others = ids.filter((id) => !again.includes(id));
  if (others.length > 0) fail(`no job out of attempts has the number ${others.join(", ")}`, 1);
  return [`${again.length} ${again.length === 1 ? "job runs" : "jobs run"} again`];
}

function explain(error: unknown): string {
  if (isTableMissing(error))
    return "the database has no tables of the control plane; it makes them when it starts";
  return error instanceof Error ? error.message : String(error);
}

async function main(): Promise<void> {
  const commandLine = readCommandLine();
  if (commandLine.values.help) {
    process.stdout.write(help);
    return;
  }
  const run = await readCommand(commandLine);
  const { DATABASE_URL } = parseOrFail(environmentSchema, process.env);
  const { db, close } = openDatabase(DATABASE_URL, 1, () => undefined);
  try {
    for (const line of await run(db)) process.stdout.write(`${line}\n`);
  } catch (error) {
    fail(explain(error), 1);
  } finally {
    await close();
  }
}

await main();
