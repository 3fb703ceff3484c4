import { type Actor, system } from "../../lifecycle/actor.ts";
import type { Context } from "../../lifecycle/context.ts";
import { type EventHandler, each } from "../../lifecycle/events.ts";
import { recordSteps } from "../../lifecycle/record-step.ts";
import type { Transaction } from "../../store/database.ts";
import { type LoadedActivation, loadActivation } from "./load-facts.ts";
import type { ManifestEngine, ServiceEntitlements } from "./ports.ts";

export type MoneyTakenBack = {
  onPaymentChargedBack: EventHandler<"servicePaymentChargedBack">;
  onChargeBackClosed: EventHandler<"serviceChargeBackClosed">;
  onPaymentRefunded: EventHandler<"servicePaymentRefunded">;
};

const bank: Actor = { kind: "partner", id: "paymentGateway" };

/** What becomes of a service whose captured price goes back: by the customer's bank, or by us. */
export function moneyTakenBack(
  context: Context,
  ports: { manifests: ManifestEngine; entitlements: ServiceEntitlements },
): MoneyTakenBack {
  const { manifests, entitlements } = ports;

  async function load(tx: Transaction, activationId: string): Promise<LoadedActivation> {
    const { vehicleId } = await tx
      .selectFrom("activations")
      .select("vehicle_id as vehicleId")
      .where("id", "=", activationId)
      .executeTakeFirstOrThrow();
    // The car's lock first, as everywhere: its reports decide about the same rows.
    await manifests.lock(tx, vehicleId);
    return loadActivation(tx, activationId);
  }

  async function note(
    tx: Transaction,
    { id, vehicleId }: LoadedActivation,
    event: string,
    actor: Actor,
    detail: Record<string, string | number>,
  ): Promise<void> {
    const at = context.clock.now();
    await recordSteps(tx, [{ vehicleId, activationId: id, event, automation: null, actor, at, detail }]);
  }

  /** Out of the car with the next manifest; a term that has ended leaves nothing to withdraw. */
  async function withdraw(tx: Transaction, loaded: LoadedActivation, reason: string): Promise<void> {
    if (loaded.entitlementId === null) return;
    const { state } = await tx
      .selectFrom("entitlements")
      .where("id", "=", loaded.entitlementId)
      .select("state")
      .executeTakeFirstOrThrow();
    if (state !== "proved") return;
    await entitlements.withdraw(tx, loaded.entitlementId, reason);
    await note(tx, loaded, "serviceWithdrawn", system, { service: loaded.service.code, reason });
  }

  return {
    onPaymentChargedBack: each(async (tx, { activationId, amountCents, reason }) => {
      const loaded = await load(tx, activationId);
      await note(tx, loaded, "paymentChargedBack", bank, { amountCents, reason });
      await withdraw(tx, loaded, "chargeBack");
      await context.publish(tx, "notificationDue", [
        {
          row: "NX4",
          subject: { activationId, vehicleId: loaded.vehicleId },
        },
      ]);
    }),

    onChargeBackClosed: each(async (tx, { activationId, amountCents, status }) => {
      const loaded = await load(tx, activationId);
      await note(tx, loaded, status === "won" ? "chargeBackWon" : "chargeBackLost", bank, { amountCents });
    }),

    onPaymentRefunded: each(async (tx, { activationId, amountCents, reason, isWhole }) => {
      const loaded = await load(tx, activationId);
      await note(tx, loaded, "paymentRefunded", system, { amountCents, reason });
      // A part is a courtesy and the service stays; who has the whole price back has not bought it.
      if (isWhole) await withdraw(tx, loaded, "refunded");
      await context.publish(tx, "notificationDue", [
        {
          row: "NX5",
          subject: { activationId, vehicleId: loaded.vehicleId },
          detail: { amountCents, isWhole: isWhole ? "yes" : "no" },
        },
      ]);
    }),
  };
}
