import { expect, test } from "vitest";
import * as z from "zod";
import { explainVariables } from "./explain-variables.ts";

const schema = z
  .object({
    ADDRESS: z.url(),
    SECRET: z.string().min(8),
    PORT: z.coerce.number().int().max(65_535).default(80),
    LEVEL: z.enum(["info", "warn"]).default("info"),
    MAIL: z.email().optional(),
    PLACE: z
      .string()
      .refine((text) => text.includes(":"), "must read place:passage")
      .optional(),
  })
  .superRefine((variables, context) => {
    if (variables.PORT === 443)
      context.addIssue({ code: "custom", path: ["KEY_FILE"], message: "is needed with PORT" });
  });

function explain(given: Record<string, string>): string[] {
  const parsed = schema.safeParse(given);
  return parsed.success ? [] : explainVariables(parsed.error, given);
}

const good = { ADDRESS: "http://127.0.0.1", SECRET: "12345678" };

test("each variable that is missing or wrong gets one line, whatever is wrong with it [N15]", () => {
  expect(explain({})).toEqual(["ADDRESS must be set", "SECRET must be set"]);
  expect(
    explain({ ADDRESS: "here", SECRET: "hush", PORT: "many", LEVEL: "loud", MAIL: "me", PLACE: "x" }),
  ).toEqual([
    "ADDRESS must be a complete address (URL)",
    "SECRET must have at least 8 characters",
    "PORT must be a whole number",
    "LEVEL must be info or warn",
    "MAIL must be an e-mail address",
    "PLACE must read place:passage",
  ]);
  expect(explain({ ...good, PORT: "70000" })).toEqual(["PORT must be at most 65535"]);
});

test("a rule between two variables names the one that is absent, with its reason", () => {
  expect(explain({ ...good, PORT: "443" })).toEqual(["KEY_FILE is needed with PORT"]);
});

test("no line shows what was given: it may be a secret", () => {
  expect(explain({ ...good, SECRET: "hush" }).join()).not.toContain("hush");
});
