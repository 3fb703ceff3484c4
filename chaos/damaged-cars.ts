import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Client } from "@caas/contract/client/client.ts";
import { issueAnotherEnrolmentPackage } from "@caas/contract/client/generated.ts";
import { enrolmentPackageSchema } from "@caas/contract/enrolment.ts";
import { wordsOf } from "@caas/simulator/command/run.ts";
import type { CarHosts } from "@caas/simulator/run/car-hosts.ts";
import { damageCar } from "@caas/vehicle-agent/testing/damage-car.ts";
import type { DiskDamage, PlannedCar } from "./ota-plan.ts";

type DiskCar = Pick<PlannedCar, "damage"> & { vin: string; vehicleId: string };

/** What happens to the disks of cars while their process is down, and what staff do about it. */
export type DamagedCars = {
  /** Does what can be done: a slot cannot be damaged before there is one. */
  damageDue(): Promise<void>;
  /** Staff issue another package; the workshop puts it into the car. Resolves at once. */
  enrolAgain(vin: string, hosts: CarHosts): void;
  /** By file and damage, as `journal.json/half`. */
  counts(): Record<string, number>;
  /** Planned and not done; a sentence each. */
  missing(): string[];
  /** Still without what proves them; a sentence each. */
  waiting(): string[];
  enrolledAgain(): ReadonlySet<string>;
  /** Damaged, and enrolled again never. */
  healed(): readonly string[];
};

const triesOfPackage = 5;
const pauseMs = 1_000;

function nameOf(damage: DiskDamage): string {
  return damage.file === "unit" ? "unit/swapped" : `${damage.file}/${damage.how}`;
}

export function openDamagedCars(options: {
  /** Holds a folder for each car, by its VIN. */
  folder: string;
  cars: readonly DiskCar[];
  /** May issue packages. */
  staff: Client;
  signal: AbortSignal;
}): DamagedCars {
  const { folder, cars, staff, signal } = options;
  const due = new Map(cars.flatMap(({ vin, damage }) => (damage === null ? [] : [[vin, damage] as const])));
  const done = new Map<string, DiskDamage>();
  const enrolledAgain = new Set<string>();
  /** Cars that wait for a package, and why the last one did not help. */
  const waiting = new Map<string, string>();
  const vehicleIds = new Map(cars.map(({ vin, vehicleId }) => [vin, vehicleId]));

  async function damage(vin: string, damage: DiskDamage): Promise<boolean> {
    const car = join(folder, vin);
    if (damage.file !== "unit") return damageCar(car, new Map([[damage.file, damage.how]]));
    // The new unit knows nothing; the folder stays, as the place where the car is.
    await rm(car, { recursive: true, force: true });
    await mkdir(car, { mode: 0o700 });
    return true;
  }

  async function bringPackage(vin: string, hosts: CarHosts): Promise<void> {
    const vehicleId = vehicleIds.get(vin);
    if (vehicleId === undefined) throw new Error(`there is no car ${vin}`);
    const reason = "its control unit has lost what proves it";
    const issued = await issueAnotherEnrolmentPackage(vehicleId, { reason }, staff);
    const given = enrolmentPackageSchema.parse(issued.package);
    for (let tries = 1; ; tries += 1)
      try {
        await hosts.enrolAgain(given);
        enrolledAgain.add(vin);
        waiting.delete(vin);
        return;
      } catch (error) {
        // The control plane was killed meanwhile, or the process of the cars: its next life asks again.
        if (tries === triesOfPackage || signal.aborted) throw error;
        await delay(pauseMs, undefined, { signal });
      }
  }

  return {
    async damageDue() {
      for (const [vin, planned] of due)
        if (await damage(vin, planned)) {
          due.delete(vin);
          done.set(vin, planned);
        }
    },
    enrolAgain(vin, hosts) {
      waiting.set(vin, "no package has come");
      bringPackage(vin, hosts).catch((error: unknown) => {
        // Another life of the process may have been served meanwhile.
        if (waiting.has(vin)) waiting.set(vin, wordsOf(error));
      });
    },
    counts() {
      const counts: Record<string, number> = {};
      for (const planned of [...due.values(), ...done.values()]) counts[nameOf(planned)] ??= 0;
      for (const planned of done.values()) counts[nameOf(planned)] = (counts[nameOf(planned)] ?? 0) + 1;
      return counts;
    },
    missing: () =>
      [...due].map(([vin, planned]) => `the planned damage ${nameOf(planned)} of ${vin} was not done`),
    waiting: () => [...waiting].map(([vin, why]) => `${vin} was not enrolled again: ${why}`),
    enrolledAgain: () => enrolledAgain,
    healed: () => [...done.keys()].filter((vin) => !enrolledAgain.has(vin)),
  };
}
