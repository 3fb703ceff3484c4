import { backoffMs } from "@caas/contract/backoff.ts";
import { dayMs, hourMs } from "@caas/contract/durations.ts";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { nextReportInMs, reportIntervalMs } from "../report/report.ts";
import { createSerialQueue } from "../serial-queue.ts";
import { createWakeUps } from "./wake-ups.ts";

describe("the one timer of a car", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });
  const scaled = (scale: number) => ({
    elapsedMs: () => Date.now() * scale,
    realDelayMs: (ms: number) => ms / scale,
  });

  test("wakes for each thing once, in the order of their due times", () => {
    const woken: string[] = [];
    const wakeUps = createWakeUps<"report" | "termEnd" | "refusals">(scaled(1), (name) => woken.push(name));
    wakeUps.set("report", 3_000);
    wakeUps.set("termEnd", 1_000);
    wakeUps.set("refusals", 2_000);
    expect(vi.getTimerCount()).toBe(1);
    vi.advanceTimersByTime(999);
    expect(woken).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(woken).toEqual(["termEnd"]);
    vi.advanceTimersByTime(10_000);
    expect(woken).toEqual(["termEnd", "refusals", "report"]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("a new due time replaces the old, a cleared one never comes, and stopping ends all", () => {
    const woken: string[] = [];
    const wakeUps = createWakeUps<"report" | "termEnd">(scaled(1), (name) => woken.push(name));
    wakeUps.set("report", 1_000);
    wakeUps.set("report", 5_000);
    wakeUps.set("termEnd", 1_000);
    wakeUps.clear("termEnd");
    expect(wakeUps.has("report")).toBe(true);
    expect(wakeUps.has("termEnd")).toBe(false);
    vi.advanceTimersByTime(4_999);
    expect(woken).toEqual([]);
    wakeUps.stop();
    vi.advanceTimersByTime(10_000);
    expect(woken).toEqual([]);
  });

  test("waits in business time, also longer than a timer can", () => {
    const woken: string[] = [];
    const wakeUps = createWakeUps<"report" | "termEnd">(scaled(2), (name) => woken.push(name));
    wakeUps.set("report", 2_000);
    vi.advanceTimersByTime(1_000);
    expect(woken).toEqual(["report"]);
    const yearMs = 365 * dayMs;
    wakeUps.set("termEnd", yearMs);
    vi.advanceTimersByTime(yearMs / 2 - 1);
    expect(woken).toEqual(["report"]);
    vi.advanceTimersByTime(1);
    expect(woken).toEqual(["report", "termEnd"]);
  });
});

test("a fleet that connected together reports spread over an hour, within six", () => {
  expect(nextReportInMs(() => 0)).toBe(5 * hourMs);
  expect(nextReportInMs(() => 1 - Number.EPSILON)).toBeLessThanOrEqual(reportIntervalMs);
});

test.each([
  { attempt: 0, longestMs: 1_000 },
  { attempt: 3, longestMs: 8_000 },
  { attempt: 6, longestMs: 60_000 },
  { attempt: 10_000, longestMs: 60_000 },
])("attempt $attempt waits anything up to $longestMs ms", ({ attempt, longestMs }) => {
  expect(backoffMs(attempt, () => 0)).toBe(0);
  expect(backoffMs(attempt, () => 0.5)).toBe(longestMs / 2);
});

describe("one message after another", () => {
  test("the next begins when the last has ended, and more than the limit is not taken", async () => {
    const queue = createSerialQueue(2);
    const first = Promise.withResolvers<void>();
    const order: string[] = [];
    const task =
      (name: string, work: Promise<void> = Promise.resolve()) =>
      async () => {
        order.push(`${name} begins`);
        await work;
        order.push(`${name} ends`);
      };
    expect(queue.offer(task("a", first.promise))).toBe(true);
    await Promise.resolve();
    expect(queue.offer(task("b"))).toBe(true);
    expect(queue.offer(task("c"))).toBe(true);
    expect(queue.offer(task("d"))).toBe(false);
    const own = queue.run(task("own"));
    first.resolve();
    await own;
    expect(order).toEqual(["a", "b", "c", "own"].flatMap((name) => [`${name} begins`, `${name} ends`]));
  });

  test("closing lets the running one end and drops the rest", async () => {
    const queue = createSerialQueue(8);
    const running = Promise.withResolvers<void>();
    const done: string[] = [];
    queue.offer(async () => {
      await running.promise;
      done.push("running");
    });
    await Promise.resolve();
    queue.offer(async () => void done.push("waiting"));
    const closed = queue.close();
    running.resolve();
    await closed;
    expect(done).toEqual(["running"]);
    expect(queue.offer(async () => void done.push("late"))).toBe(false);
  });
});
