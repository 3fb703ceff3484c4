import { appendFileSync, writeSync } from "node:fs";
import { readFile } from "node:fs/promises";
import {
  createFailpoints,
  type FailpointPlan,
  formatDeath,
  parseFailpointPlan,
} from "@caas/contract/failpoints.ts";
import { emptyManifestHash, manifestHash } from "@caas/contract/manifest.ts";
import type { Outcome } from "@caas/contract/report.ts";
import type { CarCredentials } from "@caas/simulator/fleet/credentials.ts";
import { createFleet, type Fleet } from "@caas/simulator/fleet/fleet.ts";
import { type CarProfile, healthy } from "@caas/simulator/fleet/profiles.ts";
import { createFaultCounts, createFaultSchedule, faultKinds } from "@caas/simulator/link/fault-schedule.ts";
import { createLossyLink } from "@caas/simulator/link/lossy-link.ts";
import { agentClock } from "@caas/vehicle-agent/clock/agent-clock.ts";
import { type FailpointName, failpointNames } from "@caas/vehicle-agent/failpoints.ts";
import { type BadNetwork, createBadNetwork } from "./bad-network.ts";
import {
  type Answer,
  type Commit,
  type FleetSays,
  type HeldByCar,
  type Order,
  orderSchema,
  type SetUp,
} from "./fleet-messages.ts";
import { readCommits } from "./read-commits.ts";

// A process of cars, real agents each. It is told what to be by its first message, and may be killed at any moment.

type Running = { fleet: Fleet; network: BadNetwork; link: Record<string, number> };

/** How often it says how it goes: what it has counted since is lost when it is killed. */
const sayEveryMs = 500;

let running: Running | undefined;

function tell(answer: Answer): void {
  process.send?.(answer);
}

function profileOf(fate: SetUp["fates"][string] | undefined): CarProfile {
  const placeOf = (text: string): FailpointName => {
    const place = failpointNames.find((name) => name === text);
    if (place === undefined) throw new Error(`agents have no failpoint ${text}`);
    return place;
  };
  switch (fate?.kind) {
    case "crashes":
      return { kind: "crashes", at: placeOf(fate.at), passage: fate.passage };
    case "rejects":
      return { kind: "rejects", detail: "this car takes nothing" };
    case "unhealthy": {
      const { crash } = fate;
      return {
        kind: "unhealthy",
        reason: "this car falls ill",
        ...(crash === null ? {} : { crash: { at: placeOf(crash.at), passage: crash.passage } }),
      };
    }
    default:
      return healthy;
  }
}

function planOf(text: string): FailpointPlan<FailpointName> {
  if (text === "") return new Map();
  const plan = parseFailpointPlan(text, failpointNames);
  if (plan === undefined) throw new Error(`"${text}" is no plan of agents' failpoints`);
  return plan;
}

async function setUp(order: SetUp): Promise<Running> {
  const credentials: CarCredentials[] = JSON.parse(await readFile(order.credentialsFile, "utf8"));
  const { seed } = order;
  const counts = createFaultCounts();
  const schedule = createFaultSchedule({ seed, ...order.link });
  const network = createBadNetwork(createLossyLink({ schedule, counts }), order.outOfReach);
  if (order.isHealed) network.heal();
  const fleet = await createFleet({
    credentials,
    storage: order.storage,
    seed,
    brokerUrl: order.brokerUrl,
    profileOf: (vin) => profileOf(order.fates[vin]),
    clock: agentClock(order.businessTime),
    lossyLink: network.link,
    failpoint: createFailpoints(planOf(order.failpoints), (name, passage) => {
      writeSync(process.stderr.fd, `${formatDeath(name, passage)}\n`);
      process.kill(process.pid, "SIGKILL");
    }),
  });
  const commits = readCommits(order.commitsFile);
  const newest = new Map(commits.map(({ vin, version }) => [vin, version]));
  const write = (vin: string, { version, result }: Pick<Outcome, "version" | "result">): void => {
    newest.set(vin, Math.max(version, newest.get(vin) ?? 0));
    appendFileSync(order.commitsFile, `${JSON.stringify({ vin, version, result } satisfies Commit)}\n`);
  };
  fleet.on("outcome", write);
  fleet.on("outcomeAgain", write);
  // Killed between a journal's write and this file's: the journal tells it now.
  fleet.on("connected", (vin) => {
    const outcome = fleet.cars.get(vin)?.state().outcome ?? null;
    if (outcome !== null && outcome.version > (newest.get(vin) ?? 0)) write(vin, outcome);
  });
  return { fleet, network, link: counts };
}

function count({ fleet, link }: Running): FleetSays {
  const { connected, applied, failed, refused, crashes } = fleet.counts;
  return {
    connected,
    applied,
    failed: { ...failed },
    refused: { ...refused },
    crashes: { ...crashes },
    link: Object.fromEntries(faultKinds.map((kind) => [kind, link[kind] ?? 0])),
  };
}

async function show({ fleet }: Running): Promise<HeldByCar[]> {
  const shown: HeldByCar[] = [];
  for (const car of fleet.cars.values()) {
    const held = await car.configuration();
    shown.push({
      vin: car.vin,
      version: held?.version ?? 0,
      hash: held === null ? emptyManifestHash : manifestHash(held.entries),
      codes: (held?.entries ?? []).map(({ code }) => code),
      isConnected: car.isConnected,
    });
  }
  return shown;
}

async function obey(order: Order): Promise<void> {
  if (order.kind === "setUp") {
    running = await setUp(order);
    const { fleet } = running;
    setInterval(() => running && tell({ kind: "counts", counts: count(running) }), sayEveryMs).unref();
    await fleet.start();
    return tell({ kind: "up" });
  }
  if (running === undefined) throw new Error("it has not been set up");
  const { fleet, network } = running;
  switch (order.kind) {
    case "cutOff":
      return order.vins.forEach(network.cutOff);
    case "reach":
      return order.vins.forEach(network.reach);
    case "heal":
      return network.heal();
    case "show":
      return tell({ kind: "shown", cars: await show(running), counts: count(running) });
    case "stop":
      await fleet.stop();
      tell({ kind: "counts", counts: count(running) });
      process.disconnect?.();
      process.exit(0);
  }
}

// ^C at a terminal reaches us too, and is for the rehearsal to answer.
process.on("SIGINT", () => undefined);
process.on("disconnect", () => process.exit(0));
// One order after the other: being set up takes long.
let work = Promise.resolve();
process.on("message", (message) => {
  work = work
    .then(() => obey(orderSchema.parse(message)))
    .catch((error: unknown) => {
      process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
      process.exit(1);
    });
});
