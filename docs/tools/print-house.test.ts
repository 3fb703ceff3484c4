import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import * as z from "zod";
import { countHouse, isTest, renderHouse, roomOf } from "./print-house.ts";

test.each([
  ["vitest.config.ts", "(root)", false],
  ["broker/aedes/shell.ts", "broker", false],
  ["broker/testing/certificates.ts", "broker", true],
  ["control-plane/app.ts", "control-plane", false],
  ["control-plane/access.test.ts", "control-plane", true],
  ["control-plane/rules/gate.ts", "control-plane/rules", false],
  ["control-plane/store/migrations/0001.ts", "control-plane/store", false],
  ["control-plane/features/orders/routes.ts", "control-plane/features/orders", false],
  ["control-plane/features/payments/sale/terms.test.ts", "control-plane/features/payments", true],
  ["test/house.ts", "test", true],
])("%s is in the room %s", (path, room, isCountedApart) => {
  expect([roomOf(path), isTest(path)]).toEqual([room, isCountedApart]);
});

const now = countHouse([
  { path: "start/main.ts", lines: 30 },
  { path: "broker/main.ts", lines: 100 },
  { path: "broker/main.test.ts", lines: 50 },
  { path: "contract/client/generated.ts", lines: 5_000 },
]);

test("lines are added up by room, tests apart, and what is generated is left out", () => {
  expect(renderHouse(now)).toBe(
    [
      "room    product  tests",
      "broker      100     50",
      "start        30      0",
      "total       130     50",
      "",
    ].join("\n"),
  );
});

test("beside a revision the difference of the product is shown, for a room that is gone as well", () => {
  const former = countHouse([
    { path: "broker/main.ts", lines: 120 },
    { path: "old/main.ts", lines: 7 },
  ]);
  expect(renderHouse(now, { at: "v1", house: former }).split("\n")).toEqual([
    "room    product  tests  at v1  difference",
    "broker      100     50    120         -20",
    "old           0      0      7          -7",
    "start        30      0      0         +30",
    "total       130     50    127          +3",
    "",
  ]);
});

function run(...args: string[]) {
  const program = fileURLToPath(new URL("print-house.ts", import.meta.url));
  return spawnSync(process.execPath, [program, ...args], { encoding: "utf8" });
}

test("--json prints one object as the last line; an unknown option or revision ends with 2", () => {
  const { status, stdout } = run("--json");
  expect(status).toBe(0);
  const { rooms, total } = z
    .looseObject({ rooms: z.record(z.string(), z.looseObject({ product: z.int() })), total: z.json() })
    .parse(JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? ""));
  expect(rooms["control-plane/rules"]?.product).toBeGreaterThan(0);
  expect(total).toMatchObject({ product: expect.any(Number), tests: expect.any(Number) });
  expect(run("--at", "no-such-revision").status).toBe(2);
  expect(run("--colour").status).toBe(2);
});
