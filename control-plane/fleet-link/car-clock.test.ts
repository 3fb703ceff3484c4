import { once } from "node:events";
import { dayMs, hourMs } from "@caas/contract/durations.ts";
import { agentClock } from "@caas/vehicle-agent/clock/agent-clock.ts";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openTestAgent, startTestFleet, type TestFleet } from "../testing/fixtures/fleet.ts";

let fleet: TestFleet;
beforeAll(async () => {
  fleet = await startTestFleet();
});
afterAll(() => fleet?.close());

test.each([
  ["at 1970", new Date(0)],
  ["two days behind", new Date(Date.now() - 2 * dayMs)],
  ["three years ahead", new Date(Date.now() + 3 * 365 * dayMs)],
])(
  "a car whose clock is %s connects, is given the time, holds what it was sold, and a purchase is applied [F5]",
  async (_what, wrong) => {
    const car = await fleet.addCar();
    const first = await fleet.buy(car, "heatedSeats");
    await fleet.waitFor(first, "ServiceActive");
    await car.park();
    // What the car knew of the time is lost, too: as after a swapped battery and an old journal.
    const journal = JSON.parse((await car.storage.read("journal.json")) ?? "");
    await car.storage.write("journal.json", JSON.stringify({ ...journal, trustedTimeMs: 0 }));
    fleet.clock.advanceMs(2 * 60_000);
    const clock = agentClock(`${new Date().toISOString()}/${wrong.toISOString()}/1`);
    const agent = openTestAgent(fleet.context, car, clock);
    const connected = once(agent, "connected");
    await agent.start();
    await connected;
    await fleet.waitUntil("the car's reports have the right time", async () => {
      const { report_sent_at: at, report_seq: seq } = await fleet.db
        .selectFrom("vehicle_links")
        .where("vehicle_id", "=", car.vehicleId)
        .select(["report_sent_at", "report_seq"])
        .executeTakeFirstOrThrow();
      if (at === null || seq <= journal.seq) return undefined;
      return Math.abs(at.getTime() - fleet.clock.now().getTime()) < hourMs ? true : undefined;
    });
    await fleet.waitUntil("the car holds what its owner has paid for", async () => {
      const { manifest_hash: wanted } = await fleet.db
        .selectFrom("vehicle_links")
        .where("vehicle_id", "=", car.vehicleId)
        .select("manifest_hash")
        .executeTakeFirstOrThrow();
      return agent.state().active.hash === wanted ? true : undefined;
    });
    const second = await fleet.buy(car, "ambientLight");
    await fleet.waitFor(second, "ServiceActive");
    expect(fleet.tickets()).toEqual([]);
    await agent.stop();
  },
);
