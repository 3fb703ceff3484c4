import { expect, test } from "vitest";
import {
  createFailpoints,
  createFailpointTable,
  formatDeath,
  formatFailpointPlan,
  parseDeath,
  parseFailpointPlan,
} from "./failpoints.ts";

const names = ["before-send", "after-send"] as const;

test("a plan names places and passages, and is written in the form it is read", () => {
  const plan = parseFailpointPlan("after-send:137, before-send:1", names);
  expect([...(plan ?? [])]).toEqual([
    ["after-send", 137],
    ["before-send", 1],
  ]);
  expect(formatFailpointPlan(plan ?? new Map())).toBe("after-send:137,before-send:1");
});

test.each(["", "elsewhere:1", "after-send", "after-send:0", "after-send:1:2", "after-send:1,after-send:2"])(
  "%j is no plan",
  (text) => {
    expect(parseFailpointPlan(text, names)).toBeUndefined();
  },
);

test("the program dies at the planned passage of a place, and only there", () => {
  const deaths: string[] = [];
  const pass = createFailpoints(
    new Map<(typeof names)[number], number>([["after-send", 2]]),
    (name, passage) => deaths.push(formatDeath(name, passage)),
  );
  for (const name of ["before-send", "after-send", "before-send", "before-send"] as const) pass(name);
  expect(deaths).toEqual([]);
  pass("after-send");
  pass("after-send");
  expect(deaths).toEqual(["failpoint after-send:2"]);
  expect(parseDeath(deaths[0] ?? "")).toEqual({ name: "after-send", passage: 2 });
  expect(parseDeath("the failpoint after-send:2")).toBeUndefined();
});

test("a table reads plans of its own places, and passing one does nothing until a plan is armed", () => {
  const lines: string[] = [];
  const table = createFailpointTable({ "before-send": "…", "after-send": "…" }, (line) => lines.push(line));
  expect(table.parse("after-send:3")).toEqual(new Map([["after-send", 3]]));
  expect(table.parse("elsewhere:1")).toBeUndefined();
  table.pass("after-send");
  table.arm(new Map([["after-send", 2]]));
  table.pass("after-send");
  expect(lines).toEqual([]);
});
