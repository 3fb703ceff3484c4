import type { Context } from "../../lifecycle/context.ts";
import type { ServicesInCars } from "../../lifecycle/desired-state.ts";
import { type ActivationMove, moveActivations } from "../../lifecycle/move-activations.ts";
import type { Transaction } from "../../store/database.ts";
import { chooseNext } from "./choose-next.ts";
import type { LoadedActivation, LockedCars } from "./load-activations.ts";
import { changeDeadlines } from "./timers.ts";

export type Moving = { activation: LoadedActivation; moves: readonly ActivationMove[] };

/** An activation that will not be delivered any more. */
export type Ended = {
  activation: LoadedActivation;
  /** Of its entitlement. */
  reason: string;
  /** What was held for it is let go; `false` where there is nothing. */
  voids: boolean;
  /** Why support is told; `null` where nobody has to act. */
  ticket: string | null;
};

/**
 * Moves activations under their cars' locks and begins the next attempt of each car that is free then: the oldest
 * activation that waits for it. A car that is offline keeps them waiting, and that is no attempt. Each activation is
 * moved once, with its deadlines, and each car's next version written once.
 *
 * @param change.moving events that must be possible here
 * @param change.queued activations of `moving` that wait for their cars from here on, as they are then
 * @param change.delivered activations of `moving` that their cars have proved
 * @param change.ended activations of `moving` that end here without delivery
 * @throws when the rules refuse an event of `moving`: a mistake of ours
 */
export async function moveOn(
  context: Context,
  desiredState: ServicesInCars,
  tx: Transaction,
  cars: Pick<LockedCars, "links" | "waiting">,
  change: {
    moving?: readonly Moving[];
    queued?: readonly LoadedActivation[];
    delivered?: readonly LoadedActivation[];
    ended?: readonly Ended[];
  },
): Promise<void> {
  const { moving = [], queued = [], delivered = [], ended = [] } = change;
  const links = await abandonEnded(desiredState, tx, cars, ended);
  const movingIds = new Set(moving.map(({ activation }) => activation.id));
  const waiting = [...cars.waiting.filter(({ id }) => !movingIds.has(id)), ...queued];
  const next = chooseNext(context.clock.now(), [...links.values()].filter(desiredState.isFree), waiting);
  const nextOf = new Map(next.map((one) => [one.activation.id, one]));
  const all = [
    ...moving.map(({ activation, moves }) => {
      const start = nextOf.get(activation.id);
      return { activation, must: moves.length, moves: start === undefined ? moves : [...moves, start.move] };
    }),
    ...next
      .filter(({ activation }) => !movingIds.has(activation.id))
      .map(({ activation, move }) => ({ activation, must: 0, moves: [move] })),
  ];
  const deadlines = changeDeadlines({
    queued,
    delivered,
    ended: ended.map(({ activation }) => activation),
  });
  const answers = await moveActivations(context, tx, all, deadlines);
  for (const [index, { activation, must }] of all.entries()) {
    const answer = answers[index];
    if (answer === undefined || answer.refused === null) continue;
    if (answer.moved < must) throw new Error(answer.refused.message);
    // The car was resold or left service while it waited: the deadline of its hold ends it.
    nextOf.delete(activation.id);
    context.logger.warn({ activationId: activation.id, rule: answer.refused.rule }, answer.refused.message);
  }
  await desiredState.carry(tx, [...nextOf.values()]);
  await tellEnded(context, tx, ended);
}

async function abandonEnded(
  desiredState: ServicesInCars,
  tx: Transaction,
  { links }: Pick<LockedCars, "links">,
  ended: readonly Ended[],
): Promise<LockedCars["links"]> {
  if (ended.length === 0) return links;
  return desiredState.abandon(
    tx,
    links,
    ended.map(({ activation: { id: activationId, vehicleId, entitlementId }, reason }) => ({
      vehicleId,
      activationId,
      entitlementId,
      reason,
    })),
  );
}

async function tellEnded(context: Context, tx: Transaction, ended: readonly Ended[]): Promise<void> {
  await context.publish(
    tx,
    "taskNeeded",
    ended.flatMap(({ activation: { id: activationId, vehicleId, service }, ticket }) =>
      ticket === null
        ? []
        : [
            {
              kind: "activationFailed" as const,
              facts: { service: service.name },
              detail: { service: service.code, reason: ticket },
              subject: { activationId, vehicleId },
            },
          ],
    ),
  );
  await context.publish(
    tx,
    "serviceVoidRequested",
    ended.filter(({ voids }) => voids).map(({ activation }) => ({ activationId: activation.id })),
  );
}
