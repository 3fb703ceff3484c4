import type { Context } from "../../lifecycle/context.ts";
import type { Wanted } from "../../lifecycle/desired-state.ts";
import type { Transaction } from "../../store/database.ts";
import { lockLinks } from "../../store/lock-links.ts";
import { setTimers } from "../../store/timers.ts";
import { grantPlan } from "./grant-plan.ts";
import { planRetryMs, planRetryTimer } from "./tell-verdicts.ts";
import { want } from "./want.ts";
import { writeVersions } from "./write-versions.ts";

// Changes that nobody pays for by themselves. Offline cars get them when they come back: nothing is held for them that
// could lapse meanwhile.

/** The plan comercial becomes the one unproved change of each car; a car with another under way is asked again. */
export async function carryPlan(
  context: Context,
  tx: Transaction,
  vehicleIds: readonly string[],
): Promise<void> {
  const links = [...(await lockLinks(tx, { vehicleIds })).values()];
  const [free, busy] = [
    links.filter((link) => link.unproved_version === null),
    links.filter((link) => link.unproved_version !== null),
  ];
  await writeVersions(
    context,
    tx,
    free.map((link) => ({ link, unproved: { kind: "plan" } })),
  );
  const dueAt = new Date(context.clock.now().getTime() + planRetryMs);
  await setTimers(
    tx,
    planRetryTimer,
    busy.map((link) => ({ subjectId: link.vehicle_id, dueAt })),
  );
}

/** The car has been linked: it gets what it was sold with. */
export async function deliverPlan(context: Context, tx: Transaction, vehicleId: string): Promise<void> {
  await grantPlan(context, tx, vehicleId);
  await carryPlan(context, tx, [vehicleId]);
}

/** What a roll-out gives to every car it reaches. */
export type RollOutStep = Pick<Wanted, "code" | "configuration">;

export type RolledOut = {
  /** Cars whose next version carries the step. */
  carried: number;
  /** Cars with another change under way, or without an identity: left as they are, the caller asks again for them. */
  waiting: string[];
};

/**
 * One step of a roll-out: each free car's entitlement and its next version, as its one unproved change.
 *
 * @param vehicleIds at most some thousands: one transaction holds all their locks
 */
export async function rollOut(
  context: Context,
  tx: Transaction,
  vehicleIds: readonly string[],
  step: RollOutStep,
): Promise<RolledOut> {
  const links = await lockLinks(tx, { vehicleIds });
  const free = [...links.values()].filter(
    (link) => link.unproved_version === null && link.proof_public_key !== null,
  );
  if (free.length > 0) {
    const wanted = { source: "plan", durationSeconds: null, ...step } as const;
    await want(
      context,
      tx,
      free.map((link) => ({ vehicleId: link.vehicle_id, ...wanted })),
    );
    await writeVersions(
      context,
      tx,
      free.map((link) => ({ link, unproved: { kind: "plan" } })),
    );
  }
  const carried = new Set(free.map((link) => link.vehicle_id));
  return { carried: carried.size, waiting: vehicleIds.filter((id) => !carried.has(id)) };
}
