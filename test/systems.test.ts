import { globSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { expect, test } from "vitest";

// "Process Integration and System Interactions": which process reaches which outside system.

const reaches: Readonly<Record<string, readonly string[]>> = {
  catalog: ["vss"],
  delivery: ["transport"],
  maintenance: ["vss"],
  notifications: ["mail"],
  orders: ["factory"],
  payments: ["payment-gateway"],
  registration: ["registration-authority"],
};

test("each outside system is reached by the process the specification names, and by no other [SY22]", () => {
  const found: Record<string, string[]> = {};
  for (const file of globSync("control-plane/features/*/**/*.ts")) {
    if (file.endsWith(".test.ts")) continue;
    const feature = file.split("/")[2] ?? "";
    for (const [, partner] of readFileSync(file, "utf8").matchAll(
      /from "(?:\.\.\/)+partners\/([a-z-]+)\.ts"/g,
    ))
      if (partner !== undefined && !["call-partner", "partner-error"].includes(partner))
        found[feature] = [...new Set([...(found[feature] ?? []), basename(partner)])].sort();
  }
  expect(found).toEqual(reaches);
});
