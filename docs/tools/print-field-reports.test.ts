import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { fieldReports } from "./field-reports.ts";
import { findReportTests } from "./print-field-reports.ts";

const root = join(import.meta.dirname, "../..");
const ids = fieldReports.map(({ id }) => id);

test("every report has a row of its own, in order", () => {
  const upTo = (family: string, last: number) =>
    Array.from({ length: last }, (_, index) => `${family}${index + 1}`);
  expect(ids).toEqual([...upTo("F", 22), ...upTo("N", 20), ...upTo("R", 20)]);
});

test("every report is held by a test whose title ends with its id, and no title names another", async () => {
  const tests = await findReportTests();
  expect(ids.filter((id) => !tests.has(id))).toEqual([]);
  expect([...tests.keys()].filter((id) => !ids.includes(id))).toEqual([]);
});

test("every place that a row names exists", () => {
  expect(
    fieldReports.flatMap(({ mended }) => mended.filter((file) => !existsSync(join(root, file)))),
  ).toEqual([]);
});
