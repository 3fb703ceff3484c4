import { expect, test } from "vitest";
import { createTurns } from "./turns.ts";

test("what is about one thing runs in the order of the calls, one after another; a failure holds up nothing", async () => {
  const inTurn = createTurns();
  const log: string[] = [];
  const gate = Promise.withResolvers<void>();
  const first = inTurn("a", async () => {
    log.push("a1 begins");
    await gate.promise;
    log.push("a1 ends");
    throw new Error("failed");
  });
  const second = inTurn("a", async () => log.push("a2"));
  await inTurn("b", async () => log.push("b"));
  await inTurn(null, async () => log.push("about nothing"));
  gate.resolve();
  await expect(first).rejects.toThrow("failed");
  await second;
  await inTurn("a", async () => log.push("a3"));
  expect(log).toEqual(["a1 begins", "b", "about nothing", "a1 ends", "a2", "a3"]);
});
