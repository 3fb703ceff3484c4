import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readComplaints } from "./complaints.ts";

test("the last warnings and errors of each part are shown; everyday lines, torn ones, stacks and those of an earlier session are not [N13]", () => {
  const folder = mkdtempSync(join(tmpdir(), "caas-logs-"));
  expect(readComplaints(folder, 0)).toEqual([]);
  mkdirSync(join(folder, "logs"));
  const lines = [
    '{"level":50,"time":999,"msg":"of the last session"}',
    '{"level":30,"time":1000,"msg":"linked"}',
    '{"level":40,"time":1000,"msg":"slow"}',
    '{"level":50,"time":1001,"msg":"a job failed","err":{"message":"no such order\\n    at place (order.ts:1)"}}',
    "plain words",
    '{"level":50,"msg":"to',
  ];
  writeFileSync(join(folder, "logs", "control-plane.log"), lines.join("\n"));
  writeFileSync(join(folder, "logs", "broker.log"), '{"level":30,"time":1000,"msg":"stopping"}\n');
  expect(readComplaints(folder, 1_000, 2)).toEqual([
    "control-plane.log: slow",
    "control-plane.log: a job failed: no such order",
  ]);
  rmSync(folder, { recursive: true, force: true });
});
