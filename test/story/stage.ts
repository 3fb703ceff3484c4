import { chmodSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { businessClock, type Clock, formatBusinessTime } from "@caas/contract/business-clock.ts";
import * as z from "zod";
import { type Platform, type PlatformOptions, startPlatform } from "../../start/platform.ts";
import { arrangeTransport, linkApp, payAndRegister } from "../../start/story/bring-it-home.ts";
import {
  awaitBuilding,
  type BuiltCar,
  payReservation,
  registerSale,
  type Telling,
} from "../../start/story/buy-the-car.ts";
import { type Cast, openCast, wakeInOwnProcess } from "../../start/story/cast.ts";
import { silentNarrator } from "../../start/story/narrate.ts";
import { choosePlan, inventPerson } from "../../start/story/people.ts";
import { runPlainly } from "../../start/story/step.ts";

// The whole platform as `npm start` runs it, for the story's variants: its own PostgreSQL, broker, control plane
// and stand-ins, and each car a process of its own.

/**
 * Business time runs this much faster, so that the back-off of all attempts (six minutes at most) passes in
 * seconds. Not faster still: a car must answer within its re-sends (150 s of business time).
 */
const timeScale = 30;

export type Stage = {
  platform: Platform;
  clock: Clock;
  /** @param probeCommand what the car runs after every change */
  tell(car?: { probeCommand?: string }): Promise<Telling>;
  stop(): Promise<void>;
};

/** @param rehearsal kills parts and has them started again */
export async function openStage(rehearsal?: PlatformOptions["rehearsal"]): Promise<Stage> {
  const dataDir = mkdtempSync(join(tmpdir(), "caas-story-"));
  chmodSync(dataDir, 0o711);
  const startMs = Date.now();
  const anchor = { realMs: startMs, businessMs: startMs, scale: timeScale };
  const failures: string[] = [];
  const platform = await startPlatform({
    dataDir,
    ports: "free",
    environment: { ...environmentWithoutOutsiders(), CAAS_BUSINESS_TIME: formatBusinessTime(anchor) },
    durability: "none",
    ...(rehearsal === undefined ? {} : { rehearsal }),
    onFailure: (reason) => failures.push(reason),
  });
  let cars = 0;
  return {
    platform,
    clock: businessClock(anchor),
    async tell(car = {}) {
      cars += 1;
      const wakeCar = wakeInOwnProcess(platform, { name: `car-${cars}`, port: 0, ...car });
      const cast: Cast = await openCast(platform, wakeCar);
      return { cast, step: runPlainly, narrator: silentNarrator };
    },
    async stop() {
      await platform.stop();
      rmSync(dataDir, { recursive: true, force: true });
      if (failures.length > 0) throw new Error(`parts ended by themselves:\n${failures.join("\n")}`);
    },
  };
}

/** The tests are about our own parts, whatever the shell they run in is set up for. */
function environmentWithoutOutsiders(): Record<string, string | undefined> {
  const outsiders =
    /^(DATABASE_URL|MQTT_URL|CAR_MQTT_URL|PUBLIC_URL|SMTP_URL|(FACTORY|GATEWAY|VSS|AUTHORITY|TRANSPORT)_)/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !outsiders.test(name)));
}

let customers = 0;

/** A new customer's car, built and waiting for the final payment. */
export async function buyCar(telling: Telling): Promise<BuiltCar> {
  customers += 1;
  const purchase = await registerSale(
    telling,
    inventPerson(customers, `test${customers}`),
    choosePlan(customers),
  );
  await payReservation(telling, purchase);
  return awaitBuilding(telling, purchase);
}

/** A new customer's car, delivered, linked and Operational. */
export async function ownCar(telling: Telling, clock: Clock): Promise<BuiltCar> {
  const bought = await buyCar(telling);
  await payAndRegister(telling, bought);
  await arrangeTransport(telling, bought, clock.now());
  await linkApp(telling, bought);
  return bought;
}

/** Every file the car lives by now, by name. */
export function readConfiguration({ car }: BuiltCar): Record<string, string> {
  const active = realpathSync(join(car.folder, "configuration", "active"));
  return Object.fromEntries(
    readdirSync(active).map((name) => [name, readFileSync(join(active, name), "utf8")]),
  );
}

const totalsSchema = z.object({
  totals: z.array(
    z.looseObject({
      reference: z.string().nullable(),
      intents: z.int(),
      declines: z.int(),
      heldCents: z.int(),
      capturedCents: z.int(),
      refundedCents: z.int(),
    }),
  ),
});

/** What the payment gateway itself has in its books, by our reference. */
export async function readGatewayBooks({ partners }: Cast) {
  return (await partners.gateway.get("/_control/charges", totalsSchema)).totals;
}
