import { sql } from "kysely";
import type { Context } from "../../lifecycle/context.ts";
import type { EventHandler } from "../../lifecycle/events.ts";
import type { Doubt } from "../../rules/report-judgement.ts";
import { plainArray } from "../../store/plain-array.ts";

const inWords: Readonly<Record<Doubt, string>> = {
  countersDisagree:
    "it counts its reports from another memory, so it lost its own, or two cars have one identity",
  versionFarAhead: "it says that it holds a version that was never near being written",
  appliedAtImpossible: "it says that it applied a version at a time that cannot be true",
  otherProofKey: "its reports are not signed with the key that it enrolled with",
};

/** A person looks at it: one open task for each car and doubt, however often the car speaks. */
export function createDoubtHandler(context: Context): EventHandler<"carDoubted"> {
  return async (tx, doubted) => {
    const known = await tx
      .selectFrom("tasks")
      .select(["vehicle_id", sql<string>`detail->>'doubt'`.as("doubt")])
      .where("kind", "=", "carDoubted")
      .where("status", "=", "open")
      .where(sql<boolean>`vehicle_id = any(${plainArray(doubted.map(({ vehicleId }) => vehicleId))}::uuid[])`)
      .execute();
    const nameOf = (vehicleId: string | null, doubt: string) => `${vehicleId} ${doubt}`;
    const open = new Set(known.map((task) => nameOf(task.vehicle_id, task.doubt)));
    const unheard = new Map(
      doubted
        .filter(({ vehicleId, doubt }) => !open.has(nameOf(vehicleId, doubt)))
        .map((one) => [nameOf(one.vehicleId, one.doubt), one]),
    );
    const news = [...unheard.values()];
    await context.publish(
      tx,
      "notificationDue",
      news.map(({ vehicleId, doubt }) => ({
        row: "NX14" as const,
        subject: { vehicleId },
        detail: { what: inWords[doubt] },
      })),
    );
    await context.publish(
      tx,
      "taskNeeded",
      news.map(({ vehicleId, doubt }) => ({
        kind: "carDoubted" as const,
        facts: { what: inWords[doubt] },
        detail: { doubt },
        subject: { vehicleId },
      })),
    );
  };
}
