import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readComplaints } from "./complaints.ts";

test("the last warnings and errors of each part are shown, everyday lines and torn ones are not", () => {
  const folder = mkdtempSync(join(tmpdir(), "caas-logs-"));
  expect(readComplaints(folder)).toEqual([]);
  mkdirSync(join(folder, "logs"));
  const lines = [
    '{"level":50,"msg":"an old one"}',
    '{"level":30,"msg":"linked"}',
    '{"level":40,"msg":"slow"}',
    '{"level":50,"msg":"a job failed","err":{"message":"no such order"}}',
    "plain words",
    '{"level":50,"msg":"to',
  ];
  writeFileSync(join(folder, "logs", "control-plane.log"), lines.join("\n"));
  writeFileSync(join(folder, "logs", "broker.log"), '{"level":30,"msg":"stopping"}\n');
  expect(readComplaints(folder, 2)).toEqual([
    "control-plane.log: slow",
    "control-plane.log: a job failed: no such order",
  ]);
  rmSync(folder, { recursive: true, force: true });
});
