import { system } from "../../lifecycle/actor.ts";
import type { Context } from "../../lifecycle/context.ts";
import { type EventHandler, each } from "../../lifecycle/events.ts";
import { mustMoveActivations } from "../../lifecycle/move-activations.ts";
import { recordSteps } from "../../lifecycle/record-step.ts";
import { planHoldWindows, planPresumedWindows } from "../../rules/hold-windows.ts";
import type { NotificationRowId } from "../../rules/notification-rows.ts";
import type { Transaction } from "../../store/database.ts";
import { clearTimers, setTimers } from "../../store/timers.ts";
import { type LoadedActivation, loadActivation } from "./load-facts.ts";
import type { ManifestEngine, ServiceEntitlements } from "./ports.ts";
import { startNextChange } from "./start-next-change.ts";

export type UncertainPayments = {
  onPaymentPresumed: EventHandler<"servicePaymentPresumed">;
  onPaymentAwaited: EventHandler<"servicePaymentAwaited">;
  onPaymentConfirmed: EventHandler<"servicePaymentConfirmed">;
  onPaymentRefuted: EventHandler<"servicePaymentRefuted">;
};

const gateway = { kind: "partner", id: "paymentGateway" } as const;
const secondsADay = 86_400;
/** States in which the service is on its way on a hold, or on a presumption. */
const onItsWay = ["OTAQueue", "OTAAttempt", "RetryQueue"];

/** What an activation does while its payment is presumed, and when the truth is known. */
export function uncertainPayments(
  context: Context,
  ports: { manifests: ManifestEngine; entitlements: ServiceEntitlements },
  timers: { giveUp: string; retry: string },
): UncertainPayments {
  const { manifests, entitlements } = ports;

  /** The car's lock first, as everywhere: its proof may be on its way in. */
  async function load(tx: Transaction, activationId: string): Promise<LoadedActivation> {
    const { vehicleId } = await tx
      .selectFrom("activations")
      .select("vehicle_id as vehicleId")
      .where("id", "=", activationId)
      .executeTakeFirstOrThrow();
    await manifests.lock(tx, vehicleId);
    return loadActivation(tx, activationId);
  }

  async function note(
    tx: Transaction,
    { id, vehicleId }: LoadedActivation,
    event: string,
    detail: Record<string, string>,
  ): Promise<void> {
    const at = context.clock.now();
    await recordSteps(tx, [
      {
        vehicleId,
        activationId: id,
        event,
        automation: "AU14",
        actor: gateway,
        at,
        detail,
      },
    ]);
  }

  async function tell(tx: Transaction, row: NotificationRowId, loaded: LoadedActivation): Promise<void> {
    const subject = { activationId: loaded.id, vehicleId: loaded.vehicleId };
    await context.publish(tx, "notificationDue", [{ row, subject }]);
  }

  return {
    onPaymentPresumed: each(async (tx, { activationId, reconcileBy }) => {
      const loaded = await load(tx, activationId);
      if (loaded.state !== "PaymentInitiated") {
        // Cancelled while the bank was being asked: what it may have held is let go.
        await context.publish(tx, "serviceVoidRequested", [{ activationId }]);
        return;
      }
      const entitlementId = await entitlements.want(tx, {
        vehicleId: loaded.vehicleId,
        source: "service",
        code: loaded.service.code,
        configuration: loaded.service.configuration,
        durationSeconds: loaded.durationDays * secondsADay,
      });
      const queuedAt = context.clock.now();
      await mustMoveActivations(context, tx, [
        {
          activation: { ...loaded, queuedAt },
          moves: [
            {
              event: "paymentPresumed",
              actor: system,
              facts: { ...loaded.facts, paymentConfirmed: true },
              set: {
                entitlement_id: entitlementId,
                payment_confirmed: true,
                presumed_until: reconcileBy,
                queued_at: queuedAt,
              },
              detail: { reason: "noAnswer", knownBy: reconcileBy.toISOString() },
            },
          ],
        },
      ]);
      const { giveUpAtMs } = planPresumedWindows(reconcileBy.getTime());
      await setTimers(tx, timers.giveUp, [{ subjectId: activationId, dueAt: new Date(giveUpAtMs) }]);
      await startNextChange(context, ports, tx, loaded.vehicleId);
    }),

    onPaymentAwaited: each(async (tx, { activationId, rule, reason }) => {
      const loaded = await load(tx, activationId);
      if (loaded.state === "PaymentInitiated") await note(tx, loaded, "paymentAwaited", { rule, reason });
    }),

    onPaymentConfirmed: each(async (tx, { activationId, captureBefore }) => {
      const loaded = await load(tx, activationId);
      await tx
        .updateTable("activations")
        .set({ capture_before: captureBefore, presumed_until: null })
        .where("id", "=", activationId)
        .execute();
      await note(tx, loaded, "presumptionConfirmed", { captureBefore: captureBefore.toISOString() });
      if (!onItsWay.includes(loaded.state)) return;
      // From here on the hold rules, as if it had been heard of at once.
      const { giveUpAtMs } = planHoldWindows(captureBefore.getTime());
      await setTimers(tx, timers.giveUp, [{ subjectId: activationId, dueAt: new Date(giveUpAtMs) }]);
    }),

    onPaymentRefuted: each(async (tx, { activationId, reason }) => {
      const loaded = await load(tx, activationId);
      if (loaded.state === "ServiceActive" && loaded.entitlementId !== null) {
        await note(tx, loaded, "presumptionRefuted", { reason });
        await entitlements.withdraw(tx, loaded.entitlementId, "lateDecline");
        await note(tx, loaded, "serviceWithdrawn", { service: loaded.service.code, reason });
        return tell(tx, "NX2", loaded);
      }
      if (!onItsWay.includes(loaded.state)) return note(tx, loaded, "presumptionRefuted", { reason });
      await clearTimers(tx, timers.giveUp, [activationId]);
      await clearTimers(tx, timers.retry, [activationId]);
      await mustMoveActivations(context, tx, [
        {
          activation: loaded,
          moves: [
            {
              event: "presumptionRefuted",
              actor: gateway,
              facts: loaded.facts,
              set: { payment_confirmed: false, end_reason: "presumptionRefuted" },
              detail: { reason },
            },
          ],
        },
      ]);
      if (loaded.entitlementId !== null)
        await entitlements.abandon(tx, loaded.entitlementId, "presumptionRefuted");
      // Applied already and not yet reported, or not begun: the next manifest says the same either way.
      await manifests.release(tx, loaded.vehicleId, activationId);
      await tell(tx, "NX3", loaded);
    }),
  };
}
