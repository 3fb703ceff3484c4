import pg from "pg";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { startTestFleet, type TestFleet } from "../../testing/fixtures/fleet.ts";

let fleet: TestFleet;

beforeAll(async () => {
  fleet = await startTestFleet();
});
afterAll(async () => {
  vi.restoreAllMocks();
  await fleet?.close();
});

/** What looks again and again, whether there is a purchase or not. */
const looks = {
  jobs: /\bjobs as job\b/,
  manifestsThatAreDue: /^\s*with due as/,
  carsWithOlderKeys: /"vehicle_links" where "presence"/,
  thisTest: /^select "state" from "activations"/,
};

test("a service takes 6 transactions and at most 49 statements from its selection to its receipt, those that look for work aside", async () => {
  const car = await fleet.addCar();
  const first = await fleet.buy(car, "ambientLight");
  await fleet.waitFor(first, "ServiceActive");
  await fleet.runJobs();
  const query = vi.spyOn(pg.Client.prototype, "query");
  const activationId = await fleet.buy(car, "heatedSeats");
  await fleet.waitFor(activationId, "ServiceActive");
  await fleet.runJobs();
  const texts = query.mock.calls.map(([asked]: unknown[]) =>
    typeof asked === "string" ? asked : String(Object(asked).text),
  );
  query.mockRestore();
  const statements = texts.filter((text) => !Object.values(looks).some((look) => look.test(text)));
  expect(fleet.captured()).toContain(activationId);
  const list = statements.map((text) => text.replaceAll(/\s+/g, " ").slice(0, 120)).join("\n");
  expect(statements.filter((text) => text === "commit").length, list).toBe(6);
  expect(statements.length, list).toBeLessThanOrEqual(49);
});
