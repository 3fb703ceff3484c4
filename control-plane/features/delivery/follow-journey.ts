import { isReadable } from "@caas/contract/shown-text.ts";
import type { TransportWebhook } from "@caas/contract/webhooks.ts";
import { type Refusal, refuse, refuseByRule } from "../../http/refusal.ts";
import type { Handled } from "../../http/webhook-messages.ts";
import type { Context } from "../../lifecycle/context.ts";
import { moveVehicles, type VehicleMove } from "../../lifecycle/move-vehicles.ts";
import { expectNews, expectNothing } from "../../lifecycle/partner-requests.ts";
import type { Transaction } from "../../store/database.ts";
import type { Buyer } from "../../store/schema.ts";
import { handedOverTo, recordDelivery } from "./record-delivery.ts";
import type { TransportStatus as Status } from "./transport-row.ts";

type Journey = {
  transportId: string;
  expedienteId: string;
  vehicleId: string;
  customerId: string;
  buyer: Buyer;
  status: Status;
};
type Step = { status: Status; event: VehicleMove["event"] };

const started: Step = { status: "started", event: "transportStarted" };
const arrived: Step = { status: "arrived", event: "arrivedAtCustomerAddress" };
const present: Step = { status: "delivered", event: "customerPresent" };
const absent: Step = { status: "customerAbsent", event: "customerAbsent" };
const returned: Step = { status: "returned", event: "returnedToDealership" };

/**
 * Everything that must have happened by the time the carrier says this. A message that overtakes an earlier one
 * brings its steps along, and the earlier one then changes nothing.
 */
function stepsUntil(event: TransportWebhook): readonly Step[] {
  switch (event.type) {
    case "transport.started":
      return [started];
    case "transport.arrived":
      return [started, arrived];
    case "transport.contacted":
      return [started, arrived, event.data.outcome === "customerPresent" ? present : absent];
    case "transport.returned":
      return [started, arrived, absent, returned];
  }
}

/** How far along a transport is. Both ways a home delivery can end have the same rank. */
const rank: Readonly<Record<Status, number>> = {
  requested: 0,
  scheduled: 0,
  started: 1,
  arrived: 2,
  delivered: 3,
  customerAbsent: 3,
  returned: 4,
  replaced: 5,
  refused: 5,
};

function isContradiction(status: Status, steps: readonly Step[]): boolean {
  if (status === "delivered") return steps.includes(absent);
  if (status === "customerAbsent" || status === "returned") return steps.includes(present);
  return false;
}

/** Takes one message of the carrier: moves the vehicle and keeps the delivery record. */
export async function followJourney(
  context: Context,
  tx: Transaction,
  event: TransportWebhook,
): Promise<Handled> {
  const found = await findJourney(tx, event);
  if (found.kind !== "found") return found;
  const { journey } = found;
  const { status } = journey;
  if (status === "replaced" || status === "refused") return { kind: "done" };
  // Refused for now: what the carrier was asked for is recorded when the message is judged again.
  if (status === "requested")
    return refuse("conflict", `transport ${event.data.reference} is not recorded as arranged yet`);
  const steps = stepsUntil(event);
  if (isContradiction(status, steps))
    return refuse(
      "conflict",
      `transport ${event.data.reference} ended as ${status}; ${event.type} contradicts it`,
    );
  const ahead = steps.filter((step) => rank[step.status] > rank[status]);
  for (const step of ahead) {
    const refusal = await takeStep(context, tx, journey, step, event);
    if (refusal !== null) return refusal;
  }
  const last = ahead.at(-1);
  const matter = { partner: "carrier", id: journey.transportId } as const;
  if (last === present || last === returned) await expectNothing(tx, matter);
  else if (last !== undefined) await expectNews(context, tx, matter);
  return { kind: "done" };
}

async function findJourney(
  tx: Transaction,
  event: TransportWebhook,
): Promise<{ kind: "found"; journey: Journey } | { kind: "foreign" } | Refusal> {
  const { reference, vin } = event.data;
  const row = await tx
    .selectFrom("transports")
    .innerJoin("expedientes", "expedientes.id", "transports.expediente_id")
    .where("transports.reference", "=", reference)
    .select([
      "transports.id as transportId",
      "transports.status",
      "expedientes.id as expedienteId",
      "expedientes.vin",
      "expedientes.vehicle_id as vehicleId",
      "expedientes.customer_id as customerId",
      "expedientes.buyer",
    ])
    .forUpdate("transports")
    .executeTakeFirst();
  if (row === undefined) return { kind: "foreign" };
  if (row.vin !== vin)
    return refuse("conflict", `transport ${reference} is about another vehicle than ${vin}`);
  return { kind: "found", journey: row };
}

/** The sale that a transport of ours belongs to. */
export async function findSaleOfTransport(
  tx: Transaction,
  reference: string,
): Promise<{ expedienteId: string; vehicleId: string } | null> {
  const row = await tx
    .selectFrom("transports")
    .innerJoin("expedientes", "expedientes.id", "transports.expediente_id")
    .where("transports.reference", "=", reference)
    .select(["expedientes.id as expedienteId", "expedientes.vehicle_id as vehicleId"])
    .executeTakeFirst();
  return row ?? null;
}

/** The person whom the driver names, or the one who was expected. */
function receiverOf(event: TransportWebhook, { name, contactPerson }: Buyer): string {
  const named = event.type === "transport.contacted" ? event.data.receivedBy : null;
  return named !== null && isReadable(named) ? named : (contactPerson ?? name);
}

async function takeStep(
  context: Context,
  tx: Transaction,
  journey: Journey,
  step: Step,
  event: TransportWebhook,
): Promise<Refusal | null> {
  const receivedBy = step === present ? receiverOf(event, journey.buyer) : null;
  await tx
    .updateTable("transports")
    .set({ status: step.status, ...(receivedBy === null ? {} : { received_by: receivedBy }) })
    .where("id", "=", journey.transportId)
    .execute();
  if (step === present || step === absent)
    await recordDelivery(tx, journey.expedienteId, {
      status: step === present ? "success" : "failed",
      at: context.clock.now(),
      receivedBy,
      place: "home",
    });
  const [decision] = await moveVehicles(context, tx, [
    {
      vehicleId: journey.vehicleId,
      event: step.event,
      actor: { kind: "partner", id: "transport" },
      ...(step === present ? { set: handedOverTo(journey.customerId) } : {}),
      ...(step === returned ? { set: { back_at_dealership: true } } : {}),
      detail: { reference: event.data.reference, ...(receivedBy === null ? {} : { receivedBy }) },
    },
  ]);
  // The customer may have fetched the vehicle before the carrier reports that it is back.
  if (decision.kind === "moved" || step === returned) return null;
  return refuseByRule(decision);
}
