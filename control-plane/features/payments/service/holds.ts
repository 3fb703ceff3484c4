import { mostTries } from "../../../rules/decline-table.ts";
import { passFailpoint } from "../../../store/failpoints.ts";
import type { PaymentWork } from "../batches.ts";
import type { Hold } from "./decide-holds.ts";

/** Takes the money held for an activation, on the car's proof. @throws PartnerUnavailable: try again */
export async function captureHold(
  { batches, gateway }: PaymentWork,
  activationId: string,
  attempt: number,
): Promise<void> {
  const hold = await batches.decideCapture(activationId);
  if (hold === null) return;
  passFailpoint("capture-decided-before-asked");
  const answer = await gateway.capture(hold.gatewayPaymentId, hold.paymentId, attempt);
  if (answer.status === "failedForNow" && attempt < mostTries)
    throw new Error(`the hold of ${activationId} was not taken for now: ${answer.reason}`);
  passFailpoint("capture-made-before-recorded");
  const { paymentId } = hold;
  const { status } = answer;
  // After the last try the money is as lost as after a refusal.
  await batches.record({
    paymentId,
    answer: status === "failedForNow" ? { ...answer, status: "declined" } : answer,
  });
}

/** Lets go what is held for an activation, or makes sure that nothing will be. @throws PartnerUnavailable: try again */
export async function releaseHold({ batches, gateway }: PaymentWork, activationId: string): Promise<void> {
  const hold = await batches.decideRelease(activationId);
  if (hold === null) return;
  passFailpoint("release-decided-before-asked");
  const answer = await gateway.release(hold.gatewayPaymentId, hold.paymentId);
  passFailpoint("release-made-before-recorded");
  await batches.record({ paymentId: hold.paymentId, answer });
}

/** A hold that was found after its payment had ended. @throws PartnerUnavailable: try again */
export async function releaseStray(
  { context, batches, gateway }: PaymentWork,
  { paymentId, gatewayPaymentId }: Hold,
): Promise<void> {
  const answer = await gateway.release(gatewayPaymentId, paymentId);
  context.logger.warn({ payment: paymentId, now: answer.status }, "a stray hold was let go");
  await batches.record({ paymentId, answer });
}
