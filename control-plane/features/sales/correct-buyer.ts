import { describeAddress } from "../../http/contact-fields.ts";
import { type Refusal, refuse, refuseByRule } from "../../http/refusal.ts";
import type { Actor } from "../../lifecycle/actor.ts";
import type { Context } from "../../lifecycle/context.ts";
import { recordSteps } from "../../lifecycle/record-step.ts";
import { type CorrectionFacts, judgeCorrection } from "../../rules/buyer-correction.ts";
import type { Transaction } from "../../store/database.ts";
import type { Address, Buyer } from "../../store/schema.ts";

export type Correction = {
  expedienteId: string;
  phone?: string | undefined;
  address?: Address | undefined;
  actor: Actor;
};

/**
 * Corrects how the buyer of one sale is reached; the customer's account stays as it is. The step says what was there
 * before.
 */
export async function correctBuyer(
  context: Context,
  tx: Transaction,
  correction: Correction,
): Promise<{ kind: "corrected"; carrierHasTheOldOne: boolean } | Refusal> {
  const { expedienteId } = correction;
  const sale = await tx
    .selectFrom("expedientes")
    .where("id", "=", expedienteId)
    .select(["status", "buyer", "vehicle_id"])
    .forUpdate()
    .executeTakeFirstOrThrow(() => new Error(`no expediente ${expedienteId}`));
  const { physically_delivered: physicallyDelivered } = await tx
    .selectFrom("vehicles")
    .where("id", "=", sale.vehicle_id)
    .select("physically_delivered")
    .executeTakeFirstOrThrow();
  const transport = await readTransport(tx, expedienteId);
  const judged = judgeCorrection({ saleStatus: sale.status, physicallyDelivered, transport });
  if (judged.kind === "refused") return refuseByRule(judged);

  const corrected: Buyer = {
    ...sale.buyer,
    phone: correction.phone ?? sale.buyer.phone,
    address: correction.address ?? sale.buyer.address,
  };
  const changes = describeChanges(sale.buyer, corrected);
  if (Object.keys(changes).length === 0)
    return refuse("badRequest", "the sale has this address and this telephone number already");
  await tx
    .updateTable("expedientes")
    .set({ buyer: JSON.stringify(corrected) })
    .where("id", "=", expedienteId)
    .execute();
  await recordSteps(tx, [
    {
      expedienteId,
      vehicleId: sale.vehicle_id,
      event: "buyerCorrected",
      automation: null,
      actor: correction.actor,
      at: context.clock.now(),
      detail: changes,
    },
  ]);
  return { kind: "corrected", carrierHasTheOldOne: judged.carrierHasTheOldOne };
}

async function readTransport(tx: Transaction, expedienteId: string): Promise<CorrectionFacts["transport"]> {
  const transports = await tx
    .selectFrom("transports")
    .where("expediente_id", "=", expedienteId)
    .where("status", "not in", ["replaced", "refused", "customerAbsent", "returned"])
    .select("status")
    .execute();
  if (transports.some(({ status }) => status === "requested")) return "beingAsked";
  return transports.length === 0 ? "none" : "arranged";
}

function describeChanges(before: Buyer, after: Buyer): Record<string, string> {
  const changes: Record<string, string> = {};
  if (before.phone !== after.phone) {
    changes.phoneBefore = before.phone;
    changes.phone = after.phone;
  }
  const [addressBefore, address] = [describeAddress(before.address), describeAddress(after.address)];
  if (addressBefore !== address) {
    changes.addressBefore = addressBefore;
    changes.address = address;
  }
  return changes;
}
