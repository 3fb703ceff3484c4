import { once } from "node:events";
import { createWriteStream, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { openLogFile } from "./log-file.ts";

const folder = mkdtempSync(join(tmpdir(), "caas-log-"));
afterAll(() => rmSync(folder, { recursive: true }));

test("a disk that fills up ends nothing: it is said once, and lines are kept again when there is room [R7]", async () => {
  const path = join(folder, "broker.log");
  let now = 0;
  let isFull = true;
  let closed: Promise<unknown> = Promise.resolve();
  const told: string[] = [];
  const log = openLogFile(path, {
    now: () => now,
    onTrouble: (sentence) => told.push(sentence),
    // The kernel's own full disk.
    open(wanted) {
      const stream = createWriteStream(isFull ? "/dev/full" : wanted, { flags: "a" });
      closed = once(stream, "close");
      return stream;
    },
  });
  log.write("one");
  await closed.catch(() => undefined);
  expect(told).toHaveLength(1);
  expect(told[0]).toBe(
    `${path} cannot be written: the disk is full (write: ENOSPC). The platform goes on without this log until it can.`,
  );
  // It is not tried at every line, and the same trouble is not told again.
  log.write("two");
  now += 20_000;
  log.write("three");
  await closed.catch(() => undefined);
  expect(told).toHaveLength(1);
  isFull = false;
  now += 20_000;
  log.write("four");
  log.end();
  await closed;
  expect(readFileSync(path, "utf8")).toBe("(lines are missing here: the log could not be written)\nfour\n");
});

test("a log whose folder cannot be made is let go, too [R7]", () => {
  const told: string[] = [];
  const log = openLogFile("/proc/caas/broker.log", { onTrouble: (sentence) => told.push(sentence) });
  log.write("one");
  log.end();
  expect(told).toEqual([
    expect.stringContaining("/proc/caas/broker.log cannot be written: it cannot be made there"),
  ]);
});
