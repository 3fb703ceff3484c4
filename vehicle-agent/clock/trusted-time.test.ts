import { hourMs } from "@caas/contract/durations.ts";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createTestClock } from "../testing/test-clock.ts";
import { createTrustedTime } from "./trusted-time.ts";

const start = new Date("2026-03-01T08:00:00.000Z");

describe("trusted time", () => {
  test("setting the clock back changes nothing [fault 7]", () => {
    const clock = createTestClock(start);
    const time = createTrustedTime(clock, 0);
    time.witness(start);
    clock.advance(hourMs);
    clock.setWallClock(new Date("2001-01-01T00:00:00.000Z"));
    expect(time.now()).toEqual(new Date("2026-03-01T09:00:00.000Z"));
  });

  test("setting the clock back while the car is off does not revive what had ended [fault 7]", () => {
    const clock = createTestClock(start);
    const time = createTrustedTime(clock, 0);
    time.witness(start);
    clock.advance(hourMs);
    const kept = time.highestMs();
    const rebooted = createTrustedTime(createTestClock(new Date("2001-01-01T00:00:00.000Z")), kept);
    expect(rebooted.now()).toEqual(new Date("2026-03-01T09:00:00.000Z"));
  });

  test("after a sleep the clock may move it forward provisionally, and nothing provisional is stored", () => {
    const clock = createTestClock(new Date("2026-05-01T00:00:00.000Z"));
    const time = createTrustedTime(clock, start.getTime());
    expect(time.now()).toEqual(new Date("2026-05-01T00:00:00.000Z"));
    expect(time.highestMs()).toBe(start.getTime());
  });

  test("a clock set ahead is not believed once the control plane has spoken", () => {
    const clock = createTestClock(new Date("2099-01-01T00:00:00.000Z"));
    const time = createTrustedTime(clock, 0);
    time.witness(start);
    expect(time.now()).toEqual(start);
  });

  test("an older signed instant changes nothing", () => {
    const clock = createTestClock(start);
    const time = createTrustedTime(clock, 0);
    time.witness(start);
    time.witness(new Date(start.getTime() - hourMs));
    expect(time.now()).toEqual(start);
  });

  test("a message from before a sleep does not make the sleep unseen [fault 8]", () => {
    const clock = createTestClock(new Date("2026-05-01T00:00:00.000Z"));
    const time = createTrustedTime(clock, start.getTime());
    time.witness(new Date(start.getTime() - hourMs));
    expect(time.now()).toEqual(new Date("2026-05-01T00:00:00.000Z"));
  });

  test("a key set signed during a sleep raises it and does not make the rest of the sleep unseen", () => {
    const clock = createTestClock(new Date("2027-03-01T00:00:00.000Z"));
    const time = createTrustedTime(clock, start.getTime());
    time.atLeast(new Date("2026-11-01T00:00:00.000Z"));
    expect(time.now()).toEqual(new Date("2027-03-01T00:00:00.000Z"));
    clock.setWallClock(start);
    expect(time.now()).toEqual(new Date("2026-11-01T00:00:00.000Z"));
  });

  test("the last signed word ages while nothing newer comes, also over a reboot, and no replay renews it [R16]", () => {
    const clock = createTestClock(start);
    const time = createTrustedTime(clock, 0);
    expect(time.lastSignedMs()).toBe(0);
    time.witness(start);
    clock.advance(72 * hourMs);
    time.witness(new Date(start.getTime() - hourMs));
    const rebooted = createTrustedTime(clock, time.highestMs(), time.lastSignedMs());
    for (const known of [time, rebooted]) {
      expect(known.lastSignedMs()).toBe(start.getTime());
      expect(known.now().getTime() - known.lastSignedMs()).toBe(72 * hourMs);
    }
    rebooted.witness(new Date(start.getTime() + 73 * hourMs));
    expect(rebooted.lastSignedMs()).toBe(start.getTime() + 73 * hourMs);
  });

  test("a car that never received anything signed stores nothing", () => {
    const clock = createTestClock(start);
    expect(createTrustedTime(clock, 0).highestMs()).toBe(0);
  });

  test("however the wall clock is set, it never runs backwards after the first signed instant", () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("advance" as const), ms: fc.nat(1e9) }),
      fc.record({ kind: fc.constant("set" as const), ms: fc.nat(4e12) }),
      fc.record({ kind: fc.constant("witness" as const), ms: fc.nat(4e12) }),
    );
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const clock = createTestClock(start);
        const time = createTrustedTime(clock, 0);
        time.witness(start);
        let last = time.now();
        for (const { kind, ms } of steps) {
          if (kind === "advance") clock.advance(ms);
          else if (kind === "set") clock.setWallClock(new Date(ms));
          else time.witness(new Date(ms));
          expect(time.now().getTime()).toBeGreaterThanOrEqual(last.getTime());
          last = time.now();
        }
      }),
    );
  });
});
