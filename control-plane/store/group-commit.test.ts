import { expect, test } from "vitest";
import { groupCommit } from "./group-commit.ts";

test("calls that arrive while a batch is running join the next one", async () => {
  const rounds: number[][] = [];
  const underWay: (() => void)[] = [];
  const double = groupCommit((items: readonly number[]) => {
    rounds.push([...items]);
    return new Promise<number[]>((resolve) => underWay.push(() => resolve(items.map((item) => item * 2))));
  });
  const first = double(1);
  await expect.poll(() => rounds.length).toBe(1);
  const others = Promise.all([double(2), double(3)]);
  underWay[0]?.();
  expect(await first).toBe(2);
  await expect.poll(() => rounds.length).toBe(2);
  underWay[1]?.();
  expect(await others).toEqual([4, 6]);
  expect(rounds).toEqual([[1], [2, 3]]);
});

test("a call that fails does not affect the others of its batch", async () => {
  const double = groupCommit(async (items: readonly number[]) => {
    if (items.includes(13)) throw new Error("not this one");
    return items.map((item) => item * 2);
  });
  const answers = await Promise.allSettled([double(1), double(13), double(2)]);
  expect(answers.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
});

test("a batch that loses a deadlock runs again as a whole", async () => {
  let tries = 0;
  const double = groupCommit(async (items: readonly number[]) => {
    tries += 1;
    if (tries === 1) throw Object.assign(new Error("deadlock detected"), { code: "40P01" });
    return items.map((item) => item * 2);
  });
  expect(await Promise.all([double(1), double(2)])).toEqual([2, 4]);
  expect(tries).toBe(2);
});
