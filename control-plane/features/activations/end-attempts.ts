import { type Actor, system } from "../../lifecycle/actor.ts";
import type { Context } from "../../lifecycle/context.ts";
import type { ServicesInCars } from "../../lifecycle/desired-state.ts";
import type { DomainEvents } from "../../lifecycle/events.ts";
import { moveVehicles } from "../../lifecycle/move-vehicles.ts";
import { decideRetry } from "../../rules/retry-policy.ts";
import type { Transaction } from "../../store/database.ts";
import { lockLinks } from "../../store/lock-links.ts";
import { giveUp } from "./give-up.ts";
import { type LoadedActivation, loadActivations } from "./load-activations.ts";
import { moveOn } from "./move-on.ts";

/** The cars have proved it: what was held is taken, and what else waits for these cars goes on. */
export async function confirmApplied(
  context: Context,
  desiredState: ServicesInCars,
  tx: Transaction,
  applied: readonly DomainEvents["attemptApplied"][],
): Promise<void> {
  const { attempts, waiting, vehicleIds } = await loadAttempts(tx, applied);
  // Nearly always nothing else waits, and the cars' rows are not needed.
  const links = await lockLinks(tx, { vehicleIds: waiting.length === 0 ? [] : vehicleIds });
  const cars = { links, waiting };
  await moveOn(context, desiredState, tx, cars, {
    moving: attempts.map(({ activation, end: { version, appliedAt } }) => ({
      activation,
      moves: [
        {
          event: "activationConfirmed",
          actor: carOf(activation),
          detail: { version, attempt: activation.facts.attemptsUsed, appliedAt: appliedAt.toISOString() },
        },
      ],
    })),
    delivered: attempts.map(({ activation }) => activation),
  });
  const changed = await moveVehicles(
    context,
    tx,
    attempts.map(({ activation }) => ({
      vehicleId: activation.vehicleId,
      event: "servicesChanged" as const,
      actor: carOf(activation),
      detail: { service: activation.service.code, change: "activated" },
    })),
  );
  for (const [index, change] of changed.entries())
    if (change.kind === "refused") {
      const vehicleId = attempts[index]?.activation.vehicleId;
      context.logger.warn({ vehicleId, rule: change.rule }, change.message);
    }
  await context.publish(
    tx,
    "serviceCaptureRequested",
    attempts.map(({ activation }) => ({ activationId: activation.id })),
  );
}

/** The cars could not apply it, or did not answer: another attempt after a while, or the end of all of them. */
export async function countFailures(
  context: Context,
  desiredState: ServicesInCars,
  tx: Transaction,
  failures: readonly DomainEvents["attemptFailed"][],
): Promise<void> {
  const { attempts, waiting, vehicleIds } = await loadAttempts(tx, failures);
  const cars = { links: await lockLinks(tx, { vehicleIds }), waiting };
  const now = context.clock.now();
  const judged = attempts.map(({ activation, end: { reason, failureClass } }) => {
    const { attemptsUsed } = activation.facts;
    const retry = decideRetry(failureClass, attemptsUsed, context.random());
    const retryAt = retry.kind === "retry" ? new Date(now.getTime() + retry.delayMs) : null;
    const failed = {
      event: "attemptFailed" as const,
      actor: reason === "noAnswer" ? system : carOf(activation),
      set: { attempts_allowed: retry.attemptsAllowed, retry_at: retryAt },
      detail: { reason, failureClass, attempt: attemptsUsed },
    };
    const gone = retryAt === null ? giveUp(activation, "attemptsExhausted", reason) : null;
    return { activation, retryAt, gone, moves: [failed, ...(gone?.moves ?? [])] };
  });
  const queued = judged.flatMap(({ activation, retryAt }): LoadedActivation[] =>
    retryAt === null ? [] : [{ ...activation, state: "RetryQueue", retryAt }],
  );
  await moveOn(context, desiredState, tx, cars, {
    moving: judged,
    queued,
    ended: judged.flatMap(({ gone }) => gone?.ended ?? []),
  });
}

/** Attempts that are still under way, each with how it ended; the caller holds the cars' locks. */
async function loadAttempts<End extends { activationId: string; vehicleId: string }>(
  tx: Transaction,
  ends: readonly End[],
) {
  const endOf = new Map(ends.map((end) => [end.activationId, end]));
  const vehicleIds = ends.map(({ vehicleId }) => vehicleId);
  const { activations, waiting } = await loadActivations(tx, [...endOf.keys()], vehicleIds);
  const attempts = activations.flatMap((activation) => {
    const end = endOf.get(activation.id);
    return end === undefined || activation.state !== "OTAAttempt" ? [] : [{ activation, end }];
  });
  return { attempts, waiting, vehicleIds };
}

function carOf({ vehicleId }: LoadedActivation): Actor {
  return { kind: "vehicle", id: vehicleId };
}
