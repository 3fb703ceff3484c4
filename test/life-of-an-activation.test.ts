import { readFileSync } from "node:fs";
import { join } from "node:path";
import { businessDay } from "@caas/contract/business-day.ts";
import { startTestFleet } from "@caas/control-plane/testing/fixtures/fleet.ts";
import { signInBuyer } from "@caas/control-plane/testing/fixtures/sales.ts";
import { startStandIns } from "@caas/control-plane/testing/stand-ins.ts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { watchExecution } from "./house/executed-files.ts";
import { listFiles, root } from "./house/source-files.ts";

// ARCHITECTURE.md tells the life of one activation and names files. Here a customer buys a service over REST, a real
// agent applies it and the gateway's stand-in is paid, and V8 says which files ran.

const sources = listFiles(".ts").filter(
  (path) => !path.endsWith(".test.ts") && !path.split("/").includes("testing"),
);

/** The numbered items of the section, each with the names in backticks that are files or folders. */
function readItems(): { item: number; names: string[] }[] {
  const text = readFileSync(join(root, "ARCHITECTURE.md"), "utf8");
  const section = /^## The life of one activation\n(.*?)^## /ms.exec(text)?.[1] ?? "";
  return [...section.matchAll(/^(\d+)\. (.*)$/gm)].map(([, item, words = ""]) => ({
    item: Number(item),
    names: [...words.matchAll(/`([\w./-]+)`/g)].flatMap(([, name = ""]) =>
      name.endsWith(".ts") || filesOf(name).length > 0 ? [name] : [],
    ),
  }));
}

/** The files that a name may mean: one that ends so, or those of a folder of the root or of the control plane. */
function filesOf(name: string): string[] {
  if (name.endsWith(".ts")) return sources.filter((path) => `/${path}`.endsWith(`/${name}`));
  return sources.filter((path) => path.startsWith(`${name}/`) || path.startsWith(`control-plane/${name}/`));
}

const items = readItems();

/** Stages of the purchase: what happens up to the call named, and after the last one. */
const stages = ["workshops asked", "price held", "change probed in the car", "money taken", "done"];

/** File → the first stage in which it ran. */
let ran: Map<string, number>;
let close = async () => {};

beforeAll(async () => {
  const standIns = await startStandIns(["gateway", "vss"]);
  const { gateway, vss } = standIns.partners;
  if (gateway === undefined || vss === undefined) throw new Error("no stand-ins");
  let passStage: () => void = () => {};
  /** The same call; the next stage begins with it. */
  const announced =
    <Asked extends unknown[], Answer>(call: (...asked: Asked) => Answer) =>
    (...asked: Asked): Answer => {
      passStage();
      return call(...asked);
    };
  const fleet = await startTestFleet({
    partners: {
      vss: { ...vss, askMaintenance: announced(vss.askMaintenance) },
      gateway: { ...gateway, pay: announced(gateway.pay), capture: announced(gateway.capture) },
    },
  });
  close = async () => {
    await fleet.close();
    await standIns.close();
  };
  await standIns.meet({ clock: fleet.clock, url: "http://127.0.0.1:9" });
  const car = await fleet.addCar();
  const customer = await signInBuyer(fleet, car);
  const soldOn = businessDay(fleet.clock.now());
  await vss.registerPlan(car.vin, { soldOn, planMonths: 12, planKm: 15_000 });
  car.adapter.probe = announced(car.adapter.probe.bind(car.adapter));

  await fleet.waitUntil("the car's first report is in", () =>
    fleet.db.selectFrom("vehicle_links").select("vin").where("report_seq", ">", 0).executeTakeFirst(),
  );

  const execution = watchExecution();
  passStage = () => execution.nextStage();
  const bought = await customer.post(`/api/vehicles/${car.vehicleId}/activations`, {
    serviceId: fleet.serviceId("heatedSeats"),
    paymentMethod: "pm_card_visa",
  });
  if (bought.status !== 202) throw new Error(`not bought: ${JSON.stringify(bought.body)}`);
  await fleet.waitFor(bought.text("id"), "ServiceActive");
  await fleet.runJobs();
  ran = execution.stop();
  if (!fleet.published.some(({ name }) => name === "servicePaymentCaptured")) throw new Error("not captured");
});
afterAll(() => close());

describe("the life of one activation, as ARCHITECTURE.md tells it", () => {
  test("it has eight items, and each names files", () => {
    expect(items.map(({ item }) => item)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(items.filter(({ names }) => names.length === 0)).toEqual([]);
  });

  test("each file it names is one file", () => {
    const unclear = items
      .flatMap(({ names }) => names)
      .map((name) => ({ name, files: filesOf(name) }))
      .filter(({ name, files }) => name.endsWith(".ts") && files.length !== 1);
    expect(unclear).toEqual([]);
  });

  test("a purchase and its report pass through every file it names", () => {
    const passedBy = items.flatMap(({ item, names }) =>
      names.filter((name) => !filesOf(name).some((file) => ran.has(file))).map((name) => `${item}: ${name}`),
    );
    expect(passedBy).toEqual([]);
  });

  test("its order is the order in which they run", () => {
    const reached = items.map(({ item, names }) => ({
      item,
      // Some of an item's files serve earlier items, too; the last one says how far the purchase has come.
      stage: Math.max(
        ...names.map((name) => Math.min(...filesOf(name).map((file) => ran.get(file) ?? stages.length))),
      ),
    }));
    expect(reached).toEqual(reached.toSorted((one, other) => one.stage - other.stage));
    expect(reached[0]?.stage).toBe(0);
    expect(reached.at(-1)?.stage).toBeGreaterThanOrEqual(stages.indexOf("money taken"));
  });
});
