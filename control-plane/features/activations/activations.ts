import type { Capability } from "../../http/capability.ts";
import { type Refusal, refuse, refuseByRule } from "../../http/refusal.ts";
import { type Actor, system } from "../../lifecycle/actor.ts";
import type { Context } from "../../lifecycle/context.ts";
import { type EventHandler, each } from "../../lifecycle/events.ts";
import {
  type ActivationMove,
  moveActivations,
  mustMoveActivations,
} from "../../lifecycle/move-activations.ts";
import { recordSteps } from "../../lifecycle/record-step.ts";
import { decideRetry } from "../../rules/retry-policy.ts";
import type { Transaction } from "../../store/database.ts";
import { clearTimers, setTimers } from "../../store/timers.ts";
import { confirmApplied } from "./confirm-applied.ts";
import { type LoadedActivation, loadActivation } from "./load-facts.ts";
import { type MoneyTakenBack, moneyTakenBack } from "./money-taken-back.ts";
import { passGates } from "./pass-gates.ts";
import type { ManifestEngine, ServiceEntitlements } from "./ports.ts";
import { queuePaid } from "./queue-paid.ts";
import { activationRoutes } from "./routes.ts";
import { startNextChange, startNextChanges } from "./start-next-change.ts";
import { type UncertainPayments, uncertainPayments } from "./uncertain-payments.ts";

/** Business-time deadlines of an activation. */
export const retryTimer = "activationRetry";
export const giveUpTimer = "activationGiveUp";

export type Cancelled = { kind: "cancelled" };

export type Activations = Capability &
  UncertainPayments &
  MoneyTakenBack & {
    /** The customer changed their mind; honest about what can no longer be undone. */
    cancel(tx: Transaction, activationId: string, actor: Actor): Promise<Cancelled | Refusal>;
    onMaintenanceChecked: EventHandler<"maintenanceChecked">;
    onPaymentAuthorised: EventHandler<"servicePaymentAuthorised">;
    onPaymentDeclined: EventHandler<"servicePaymentDeclined">;
    onPaymentVoided: EventHandler<"servicePaymentVoided">;
    onPaymentLost: EventHandler<"servicePaymentLost">;
    onChangePossible: EventHandler<"changePossible">;
    onAttemptApplied: EventHandler<"attemptApplied">;
    onAttemptFailed: EventHandler<"attemptFailed">;
  };

/** The specification's service activation: gate, hold, attempts, proof, and the honest end of each. */
export function createActivations(
  context: Context,
  ports: { manifests: ManifestEngine; entitlements: ServiceEntitlements },
): Activations {
  const { manifests, entitlements } = ports;

  /** Moves an activation by events that must be possible here, one after the other. */
  async function move(
    tx: Transaction,
    loaded: LoadedActivation,
    ...changes: readonly Omit<ActivationMove, "facts">[]
  ): Promise<void> {
    let { facts } = loaded;
    const moves = changes.map((change) => {
      facts = { ...facts, ...factsSetBy(change.set) };
      return { ...change, facts };
    });
    await mustMoveActivations(context, tx, [{ activation: loaded, moves }]);
  }

  /** Support is told, the customer is told, and the hold is let go: NoCharge follows when it is gone. */
  async function giveUp(
    tx: Transaction,
    loaded: LoadedActivation,
    event: "attemptsExhausted" | "holdExpired",
    set: NonNullable<ActivationMove["set"]>,
  ): Promise<void> {
    await clearTimers(tx, giveUpTimer, [loaded.id]);
    await clearTimers(tx, retryTimer, [loaded.id]);
    await move(
      tx,
      loaded,
      { event, actor: system, set, detail: { attempts: loaded.facts.attemptsUsed } },
      { event: "ticketCreated", actor: system },
    );
    await context.publish(tx, "taskNeeded", [
      {
        kind: "activationFailed",
        facts: { service: loaded.service.name },
        detail: { service: loaded.service.code, reason: String(set.end_reason ?? event) },
        subject: { activationId: loaded.id, vehicleId: loaded.vehicleId },
      },
    ]);
    if (loaded.entitlementId !== null)
      await entitlements.abandon(
        tx,
        loaded.entitlementId,
        event === "holdExpired" ? "holdExpired" : "notActivated",
      );
    await manifests.release(tx, loaded.vehicleId, loaded.id);
    await context.publish(tx, "serviceVoidRequested", [{ activationId: loaded.id }]);
  }

  async function cancel(tx: Transaction, activationId: string, actor: Actor): Promise<Cancelled | Refusal> {
    const { vehicleId } = await vehicleOf(tx, activationId);
    // The car's lock first: its proof may be on its way in, and whoever comes first decides.
    await manifests.lock(tx, vehicleId);
    const loaded = await loadActivation(tx, activationId);
    const set = { end_reason: "customerCancelled" };
    const [{ refused }] = await moveActivations(context, tx, [
      {
        activation: loaded,
        moves: [{ event: "customerCancelled", actor, facts: loaded.facts, set }],
      },
    ]);
    if (refused !== null)
      return loaded.state === "ServiceActive"
        ? refuse("conflict", `${loaded.service.name} is already applied in the car and paid`)
        : refuseByRule(refused);
    await clearTimers(tx, giveUpTimer, [activationId]);
    await clearTimers(tx, retryTimer, [activationId]);
    if (loaded.entitlementId !== null)
      await entitlements.abandon(tx, loaded.entitlementId, "customerCancelled");
    await manifests.release(tx, vehicleId, activationId);
    await context.publish(tx, "serviceVoidRequested", [{ activationId }]);
    return { kind: "cancelled" };
  }

  return {
    cancel,
    ...moneyTakenBack(context, ports),
    ...uncertainPayments(context, ports, { giveUp: giveUpTimer, retry: retryTimer }),
    addRoutes: (routing) => activationRoutes(context, cancel, routing),

    onMaintenanceChecked: (tx, checks) => passGates(context, tx, checks),
    onPaymentAuthorised: (tx, holds) => queuePaid(context, ports, tx, holds, giveUpTimer),

    onPaymentDeclined: each(async (tx, { activationId, reason }) => {
      const loaded = await loadActivation(tx, activationId);
      if (loaded.state !== "PaymentInitiated") return;
      await move(tx, loaded, {
        event: "paymentRejected",
        actor: { kind: "partner", id: "paymentGateway" },
        set: { end_reason: reason },
        detail: { reason },
      });
    }),

    onPaymentVoided: each(async (tx, { activationId }) => {
      const loaded = await loadActivation(tx, activationId);
      if (loaded.state !== "CustomerNotified") return;
      await move(tx, loaded, {
        event: "chargeReleased",
        actor: { kind: "partner", id: "paymentGateway" },
        set: { payment_confirmed: false },
      });
    }),

    onPaymentLost: each(async (tx, { activationId, reason }) => {
      // The car's lock first, as everywhere: a report about it may be on its way in.
      await manifests.lock(tx, (await vehicleOf(tx, activationId)).vehicleId);
      const { vehicleId, entitlementId, service } = await loadActivation(tx, activationId);
      if (entitlementId === null) return;
      await entitlements.withdraw(tx, entitlementId, "lateDecline");
      await recordSteps(tx, [
        {
          vehicleId,
          activationId,
          event: "serviceWithdrawn",
          automation: null,
          actor: system,
          at: context.clock.now(),
          detail: { service: service.code, reason },
        },
      ]);
      await context.publish(tx, "notificationDue", [{ row: "NX2", subject: { activationId, vehicleId } }]);
    }),

    onChangePossible: (tx, possible) =>
      startNextChanges(
        context,
        ports,
        tx,
        possible.map(({ vehicleId }) => vehicleId),
      ),
    onAttemptApplied: (tx, applied) => confirmApplied(context, ports, tx, applied, giveUpTimer),

    onAttemptFailed: each(async (tx, { activationId, reason, failureClass }) => {
      const loaded = await loadActivation(tx, activationId);
      if (loaded.state !== "OTAAttempt") return;
      const retry = decideRetry(failureClass, loaded.facts.attemptsUsed, context.random());
      const retryAt = retry.kind === "retry" ? new Date(context.clock.now().getTime() + retry.delayMs) : null;
      await move(tx, loaded, {
        event: "attemptFailed",
        actor: reason === "noAnswer" ? system : { kind: "vehicle", id: loaded.vehicleId },
        set: { attempts_allowed: retry.attemptsAllowed, retry_at: retryAt },
        detail: { reason, failureClass, attempt: loaded.facts.attemptsUsed },
      });
      if (retryAt !== null) return setTimers(tx, retryTimer, [{ subjectId: activationId, dueAt: retryAt }]);
      await giveUp(tx, await loadActivation(tx, activationId), "attemptsExhausted", { end_reason: reason });
    }),

    timers: [
      {
        kind: retryTimer,
        async due(tx, activationId) {
          const { vehicleId } = await vehicleOf(tx, activationId);
          await startNextChange(context, ports, tx, vehicleId);
        },
      },
      {
        kind: giveUpTimer,
        async due(tx, activationId) {
          const { vehicleId } = await vehicleOf(tx, activationId);
          // The car's lock comes first, as everywhere: a report about this very activation may be on its way in.
          await manifests.lock(tx, vehicleId);
          const loaded = await loadActivation(tx, activationId);
          if (!["OTAQueue", "OTAAttempt", "RetryQueue"].includes(loaded.state)) return;
          await giveUp(tx, loaded, "holdExpired", { end_reason: "holdExpired" });
        },
      },
    ],
  };
}

async function vehicleOf(tx: Transaction, activationId: string): Promise<{ vehicleId: string }> {
  return tx
    .selectFrom("activations")
    .select("vehicle_id as vehicleId")
    .where("id", "=", activationId)
    .executeTakeFirstOrThrow();
}

/** Facts that an event itself brings: the guards judge the state after it. */
function factsSetBy(set: ActivationMove["set"]) {
  return {
    ...(set?.maintenance_status === undefined
      ? {}
      : { maintenanceValidated: set.maintenance_status === "current" }),
    ...(set?.payment_confirmed === undefined ? {} : { paymentConfirmed: set.payment_confirmed === true }),
    ...(typeof set?.attempts_allowed === "number" ? { attemptsAllowed: set.attempts_allowed } : {}),
  };
}
