#!/usr/bin/env node
import { text } from "node:stream/consumers";
import { parseArgs } from "node:util";
import * as z from "zod";
import { createDealership, createStaff, type NewStaff } from "./features/accounts/create-staff.ts";
import { emailSchema, nameSchema } from "./http/contact-fields.ts";
import { judgePassword, longestPassword, shortestPassword } from "./http/password-policy.ts";
import { generatePassword } from "./http/passwords.ts";
import { openDatabase, type Transaction } from "./store/database.ts";

const help = `caas-admin: gives employees their accounts, where nobody can sign in yet

  caas-admin create-staff --name NAME --email EMAIL --role admin|support|sales [--dealership NAME] [--password-stdin]

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
  .refine(({ role, dealership }) => (role === "sales") === (dealership !== undefined), {
    path: ["dealership"],
    message: "belongs to the role sales, and only to it",
  });
type Arguments = z.infer<typeof argumentsSchema>;

const environmentSchema = z.object({ DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }) });
const passwordSchema = z.string().min(shortestPassword).max(longestPassword);

function fail(message: string, code: number): never {
  process.stderr.write(`caas-admin: ${message}\n`);
  process.exit(code);
}

function parseOrFail<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  return parsed.success ? parsed.data : fail(z.prettifyError(parsed.error), usageError);
}

async function addStaff(tx: Transaction, given: Arguments, password: string): Promise<string | "emailTaken"> {
  const common = { name: given.name, email: given.email, password };
  const staff: NewStaff =
    given.role === "sales"
      ? { ...common, role: "sales", dealershipId: await createDealership(tx, given.dealership ?? "") }
      : { ...common, role: given.role, dealershipId: null };
  return createStaff(tx, staff);
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
        help: { type: "boolean", default: false },
      },
    });
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error), usageError);
  }
}

async function main(): Promise<void> {
  const { values, positionals } = readCommandLine();
  if (values.help) {
    process.stdout.write(help);
    return;
  }
  if (positionals.length !== 1 || positionals[0] !== "create-staff")
    fail("the command is create-staff; --help says more", usageError);
  const { "password-stdin": fromStdin, help: _help, ...rest } = values;
  const given = parseOrFail(argumentsSchema, rest);
  const { DATABASE_URL } = parseOrFail(environmentSchema, process.env);
  const password = fromStdin
    ? parseOrFail(passwordSchema, (await text(process.stdin)).replace(/\r?\n$/, ""))
    : generatePassword();
  const weakness = fromStdin ? await judgePassword(password, [given.email, given.name]) : null;
  if (weakness !== null) fail(`the password ${weakness}`, usageError);
  const { db, close } = openDatabase(DATABASE_URL, 1, () => undefined);
  try {
    const outcome = await db.transaction().execute((tx) => addStaff(tx, given, password));
    if (outcome === "emailTaken") fail(`an account with ${given.email} exists already`, 1);
    process.stdout.write(`${given.email} may sign in as ${given.role}\n`);
    if (!fromStdin) process.stdout.write(`password (shown only now): ${password}\n`);
  } catch (error) {
    fail(error instanceof Error ? error.message : String(error), 1);
  } finally {
    await close();
  }
}

await main();
