import type * as z from "zod";

// What a program says about a bad environment or bad options: a line each, and never the value, which may be a secret.

/**
 * One line per variable, in the order of the schema: `DATABASE_URL must be set`.
 * @param error of a schema whose input was `given`
 */
export function explainVariables(error: z.ZodError, given: Readonly<Record<string, unknown>>): string[] {
  const lines = new Map<string, string>();
  for (const issue of error.issues)
    for (const name of namesIn(issue))
      if (!lines.has(name))
        lines.set(
          name,
          `${name} ${isAbsent(given[name]) && isMissing(issue) ? "must be set" : words(issue)}`,
        );
  return [...lines.values()];
}

function namesIn(issue: z.core.$ZodIssue): string[] {
  const [name] = issue.path;
  if (name !== undefined) return [String(name)];
  return issue.code === "unrecognized_keys" ? issue.keys : ["the whole"];
}

function isAbsent(value: unknown): boolean {
  return value === undefined || value === "";
}

/** A rule between variables speaks of an absent one, too, and says more than that it is absent. */
function isMissing(issue: z.core.$ZodIssue): boolean {
  return issue.code !== "custom";
}

function words(issue: z.core.$ZodIssue): string {
  // Sentences of our own schemas complete the variable's name.
  if (/^(must|is|goes|belongs) /.test(issue.message)) return issue.message;
  switch (issue.code) {
    case "invalid_type":
      return issue.expected === "number" || issue.expected === "int"
        ? "must be a whole number"
        : `must be a ${issue.expected}`;
    case "invalid_value":
      return `must be ${issue.values.map(String).join(" or ")}`;
    case "too_small":
      return `must ${measure(issue.origin, "at least", issue.minimum)}`;
    case "too_big":
      return `must ${measure(issue.origin, "at most", issue.maximum)}`;
    case "invalid_format":
      return `must be ${issue.format === "url" ? "a complete address (URL)" : issue.format === "email" ? "an e-mail address" : `a ${issue.format}`}`;
    case "unrecognized_keys":
      return "is unknown here";
    default:
      return `is not valid (${issue.message})`;
  }
}

function measure(origin: string, bound: string, limit: number | bigint): string {
  if (origin === "string") return `have ${bound} ${limit} characters`;
  if (origin === "array") return `name ${bound} ${limit}`;
  return `be ${bound} ${limit}`;
}
