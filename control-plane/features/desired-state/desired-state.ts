import type { Capability } from "../../http/capability.ts";
import type { Context } from "../../lifecycle/context.ts";
import type { ServicesInCars } from "../../lifecycle/desired-state.ts";
import { type EventHandler, each } from "../../lifecycle/events.ts";
import type { Transaction } from "../../store/database.ts";
import { beginAnew } from "./begin-anew.ts";
import { carryPlan, deliverPlan, type RolledOut, type RollOutStep, rollOut } from "./change-cars.ts";
import { abandon, withdraw } from "./end-entitlements.ts";
import { type Ingested, ingestReports, type Received } from "./ingest-reports.ts";
import { forgetPresences, recordPresences, type SaidPresence } from "./record-presences.ts";
import { termTimer } from "./settle.ts";
import { type Due, takeDue } from "./take-due.ts";
import { planRetryTimer } from "./tell-verdicts.ts";
import { want } from "./want.ts";
import { writeVersions } from "./write-versions.ts";

// What each car must hold. An entitlement is one thing and its term: wanted → proved → ending → ended; it outlives the
// activation that asked for it. A manifest is the projection of a car's entitlements: the complete set, versioned. It
// holds everything proved and at most one unproved change.

export type DesiredState = Capability &
  ServicesInCars & {
    /** Grants the plan comercial and makes it the car's unproved change. */
    deliverPlan(tx: Transaction, vehicleId: string): Promise<void>;
    rollOut(tx: Transaction, vehicleIds: readonly string[], step: RollOutStep): Promise<RolledOut>;
    /** Takes in verified reports; each `token` is kept as the proof. */
    ingest(tx: Transaction, received: readonly Received[]): Promise<Ingested[]>;
    recordPresences(tx: Transaction, said: readonly SaidPresence[]): Promise<void>;
    /** The link to the broker broke: no car is known to be online until it says so again. */
    forgetPresences(): Promise<void>;
    /** Claims manifests that are due to be sent, oldest first. */
    takeDue(limit: number): Promise<Due[]>;
    onVehicleMoved: EventHandler<"vehicleMoved">;
    onCarEnrolledAgain: EventHandler<"carEnrolledAgain">;
  };

/** @param keySetVersion of the key set that signs what we send */
export function createDesiredState(context: Context, keySetVersion: () => number): DesiredState {
  return {
    want: (tx, wanted) => want(context, tx, wanted),
    // A car that is offline keeps a service waiting: its hold would run out on the way. Without an identity it takes
    // nothing, and a second unproved change would have no proof of its own.
    isFree: (link) =>
      link.proof_public_key !== null && link.unproved_version === null && link.presence === "online",
    async carry(tx, changes) {
      await writeVersions(context, tx, changes);
    },
    abandon: (tx, links, abandoned) => abandon(context, tx, links, abandoned),
    withdraw: (tx, withdrawn) => withdraw(context, tx, withdrawn),
    deliverPlan: (tx, vehicleId) => deliverPlan(context, tx, vehicleId),
    rollOut: (tx, vehicleIds, step) => rollOut(context, tx, vehicleIds, step),
    ingest: (tx, received) => ingestReports(context, keySetVersion(), tx, received),
    recordPresences: (tx, said) => recordPresences(context, tx, said),
    forgetPresences: () => forgetPresences(context.db),
    takeDue: (limit) => takeDue(context, keySetVersion(), limit),
    onVehicleMoved: each(async (tx, { vehicleId, event }) => {
      if (event === "appLinked") await deliverPlan(context, tx, vehicleId);
    }),
    onCarEnrolledAgain: each((tx, enrolled) => beginAnew(context, tx, enrolled)),
    timers: [
      { kind: planRetryTimer, due: (tx, vehicleId) => carryPlan(context, tx, [vehicleId]) },
      {
        kind: termTimer,
        async due(tx, entitlementId) {
          await withdraw(context, tx, [{ entitlementId, reason: "termEnded" }]);
        },
      },
    ],
  };
}
