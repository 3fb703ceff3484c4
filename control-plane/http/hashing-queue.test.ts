import { lookup } from "node:dns/promises";
import { expect, test } from "vitest";
import { createHashingQueue, HashingBusy } from "./hashing-queue.ts";
import { hashPassword, verifyPassword } from "./passwords.ts";

test("two passwords are hashed at a time, a few wait in order, and the next is told to come again at once [R2]", async () => {
  const inTurn = createHashingQueue({ mostAtOnce: 2, mostWaiting: 3 });
  const begun: number[] = [];
  const ends: (() => void)[] = [];
  const hash = (number: number) =>
    inTurn(async () => {
      begun.push(number);
      await new Promise<void>((end) => ends.push(end));
      return number;
    });
  const first = [1, 2, 3, 4, 5].map(hash);
  await expect(hash(6)).rejects.toBeInstanceOf(HashingBusy);
  expect(begun).toEqual([1, 2]);
  for (let ended = 0; ended < first.length; ended += 1) {
    ends[ended]?.();
    await first[ended];
  }
  expect(begun).toEqual([1, 2, 3, 4, 5]);
  expect(await Promise.all(first)).toEqual([1, 2, 3, 4, 5]);
  const later = hash(7);
  ends.at(-1)?.();
  expect(await later).toBe(7);
});

test("work that fails leaves its place to the next [R2]", async () => {
  const inTurn = createHashingQueue({ mostAtOnce: 1, mostWaiting: 1 });
  const failed = inTurn(() => Promise.reject(new Error("no")));
  const next = inTurn(async () => "done");
  await expect(failed).rejects.toThrow("no");
  expect(await next).toBe("done");
});

test("a flood of passwords leaves threads for looking up names, and is refused when more than a second of work waits [R2]", async () => {
  const hash = await hashPassword("three words in a row");
  const tries = Array.from({ length: 60 }, () =>
    verifyPassword(hash, "a wrong password").catch((error: unknown) => error),
  );
  const order: string[] = [];
  await Promise.all([
    lookup("localhost").then(() => order.push("looked up")),
    Promise.all(tries).then(() => order.push("all tries")),
  ]);
  expect(order).toEqual(["looked up", "all tries"]);
  const outcomes = await Promise.all(tries);
  expect(outcomes.filter((outcome) => outcome === false)).toHaveLength(26);
  expect(outcomes.filter((outcome) => outcome instanceof HashingBusy)).toHaveLength(34);
});
