import type { GatewayIntent } from "../lab/gateway-books.ts";
import type { Asked, Evidence, Shown } from "./evidence.ts";
import type { PinnedEnd } from "./ota-plan.ts";

export type Verdict = {
  active: number;
  gaveUp: number;
  denied: number;
  /** Delivered, and taken back with its money. */
  withdrawn: number;
  mismatches: number;
  stuck: number;
  moneyWithoutService: number;
  serviceWithoutMoney: number;
  doubleApplies: number;
  staleApplied: number;
  unsignedAccepted: number;
  carsNotConverged: number;
  /** A service in a manifest though its activation has ended without it, or the other way about. */
  staleManifests: number;
  /** A car that told a failure while its active slot held the version that failed. */
  notRolledBack: number;
  /** An entitlement that lasts though its activation has ended without the service, or the other way about. */
  staleEntitlements: number;
};

export type Judgement = {
  verdict: Verdict;
  /** A sentence each, naming the activation or the car. */
  offenders: readonly string[];
};

type End = "active" | "gaveUp" | "denied" | "withdrawn";
type Counter = Exclude<keyof Verdict, End>;

/** Which end each final state is; everything else has not ended. */
const ends: Readonly<Record<string, End>> = {
  ServiceActive: "active",
  NoCharge: "gaveUp",
  ServiceDenied: "denied",
  PaymentFailed: "denied",
};

function endOf({ state, withdrawnBecause }: Shown): End | undefined {
  const end = ends[state];
  return end === "active" && withdrawnBecause !== null ? "withdrawn" : end;
}

/** The ends that each pinned one allows. */
const allowedEnds: Readonly<Record<PinnedEnd, readonly End[]>> = {
  active: ["active"],
  gaveUp: ["gaveUp"],
  denied: ["denied"],
  withdrawn: ["withdrawn"],
  unpaid: ["denied", "withdrawn"],
  open: ["active", "gaveUp"],
};

/** Of no activation at all. */
export const nothingFound: Readonly<Verdict> = {
  active: 0,
  gaveUp: 0,
  denied: 0,
  withdrawn: 0,
  mismatches: 0,
  stuck: 0,
  moneyWithoutService: 0,
  serviceWithoutMoney: 0,
  doubleApplies: 0,
  staleApplied: 0,
  unsignedAccepted: 0,
  carsNotConverged: 0,
  staleManifests: 0,
  notRolledBack: 0,
  staleEntitlements: 0,
};

/** Judges what happened by what others wrote down: charged if and only if proved, once for each request. */
export function audit(evidence: Evidence): Judgement {
  const verdict: Verdict = { ...nothingFound };
  const offenders: string[] = [];
  const object = (counter: Counter, sentence: string): void => {
    verdict[counter] += 1;
    offenders.push(`${counter}: ${sentence}`);
  };

  judgeRequests(evidence, verdict, object);
  judgeMoney(evidence, object);
  judgeCars(evidence, object);
  judgeManifests(evidence, object);
  judgeEntitlements(evidence, object);
  judgeRecords(evidence, object);
  judgeCommits(evidence, object);
  judgeRollBacks(evidence, object);
  for (const id of evidence.stuck)
    object("stuck", `activation ${id} is not final, and no job, deadline or open task will move it`);
  for (const id of evidence.unbalanced)
    object("mismatches", `the ledger's transaction ${id} does not sum to zero`);
  return { verdict, offenders };
}

type Objection = (counter: Counter, sentence: string) => void;

/** Each request became one activation, and each car, card and fate ended as it had to. */
function judgeRequests({ asked, shown }: Evidence, verdict: Verdict, object: Objection): void {
  const byPair = groupBy(shown, pairOf);
  const wanted = new Set(asked.map(pairOf));
  for (const request of asked) {
    const made = byPair.get(pairOf(request)) ?? [];
    const [activation] = made;
    const what = `${request.serviceCode} in ${request.vin}`;
    if (activation === undefined) {
      object("mismatches", `${what} was asked for and there is no activation of it`);
      continue;
    }
    if (made.length > 1)
      object("mismatches", `${what} was asked for once and became ${made.length} activations`);
    if (request.activationId !== null && request.activationId !== activation.activationId)
      object(
        "mismatches",
        `${what} was answered with ${request.activationId} and is ${activation.activationId}`,
      );
    const end = endOf(activation);
    if (end === undefined) {
      object(
        "mismatches",
        `activation ${activation.activationId} (${what}) has not ended: ${activation.state}`,
      );
      continue;
    }
    verdict[end] += 1;
    if (!allowedEnds[request.end].includes(end))
      object(
        "mismatches",
        `activation ${activation.activationId} (${what}) had to end ${request.end} and ended ${end} (${activation.state})`,
      );
    else if (end === "withdrawn" && activation.withdrawnBecause !== request.withdrawnBecause)
      object(
        "mismatches",
        `activation ${activation.activationId} (${what}) was taken back because of ${activation.withdrawnBecause}, and not ${request.withdrawnBecause}`,
      );
  }
  for (const one of shown)
    if (!wanted.has(pairOf(one)))
      object(
        "mismatches",
        `nobody asked for activation ${one.activationId} (${one.serviceCode} in ${one.vin})`,
      );
}

/** Charged exactly when the car holds it; charged once, and the price; no hold left behind. */
function judgeMoney({ asked, shown, intents, cars, tasks }: Evidence, object: Objection): void {
  const prices = new Map(asked.map((request) => [pairOf(request), request.priceCents]));
  const held = new Map(cars.map(({ vin, codes }) => [vin, new Set(codes)]));
  const byActivation = groupBy(intents, ({ activationId }) => activationId ?? "");
  /** The bank gave the money back to us after the service was taken back: a person settles it with the customer. */
  const owed = new Set(
    tasks.filter(({ kind }) => kind === "chargeBackWon").map(({ activationId }) => activationId),
  );
  const known = new Set<string>();
  for (const activation of shown) {
    const { activationId, vin, serviceCode, state, withdrawnBecause } = activation;
    known.add(activationId);
    const what = `activation ${activationId} (${serviceCode} in ${vin}, ${state})`;
    const payments = byActivation.get(activationId) ?? [];
    const charged = payments.filter((one) => takenOf(one) > 0);
    const isOwed = withdrawnBecause === "chargeBack" && owed.has(activationId);
    const isHeld = held.get(vin)?.has(serviceCode) === true;
    if (charged.length > 0 && !isHeld && !isOwed)
      object("moneyWithoutService", `${what} is charged and the car does not hold it`);
    if (charged.length === 0 && isHeld)
      object("serviceWithoutMoney", `${what} is held by the car and not charged`);
    if (charged.length > 0 !== (endOf(activation) === "active" || isOwed))
      object("mismatches", `${what} is ${charged.length > 0 ? "" : "not "}charged`);
    if (charged.length > 1) object("mismatches", `${what} is charged ${charged.length} times`);
    const price = prices.get(pairOf(activation));
    for (const one of charged)
      if (takenOf(one) !== price)
        object("mismatches", `${what} costs ${price} and ${one.id} took ${takenOf(one)}`);
    for (const one of payments)
      if (one.status === "requires_capture")
        object("mismatches", `${what} has ended and the gateway still holds ${one.id}`);
  }
  for (const one of intents)
    if (one.activationId === null || !known.has(one.activationId)) {
      if (takenOf(one) > 0)
        object("moneyWithoutService", `${one.id} is charged for nothing anybody asked for`);
      else if (one.status === "requires_capture")
        object("mismatches", `${one.id} is held for nothing anybody asked for`);
    }
}

/** What the customer has paid after all. */
function takenOf({ capturedCents, refundedCents, disputedCents }: GatewayIntent): number {
  return capturedCents - refundedCents - disputedCents;
}

/** Each car holds what it must, and nothing that nobody bought. */
function judgeCars({ cars, shown }: Evidence, object: Objection): void {
  const sold = new Set(shown.map(pairOf));
  for (const car of cars) {
    if (car.wantedHash !== car.hash)
      object(
        "carsNotConverged",
        `${car.vin} holds ${car.hash} and must hold ${car.wantedHash ?? "nothing known"}`,
      );
    for (const serviceCode of car.codes)
      if (!sold.has(pairOf({ vin: car.vin, serviceCode })))
        object("serviceWithoutMoney", `${car.vin} holds ${serviceCode}, which nobody bought`);
  }
}

/** A manifest holds exactly the services that are active: what was cancelled or given up is out of it. */
function judgeManifests({ cars, shown }: Evidence, object: Objection): void {
  const active = new Set(shown.filter((one) => endOf(one) === "active").map(pairOf));
  for (const { vin, wantedCodes } of cars) {
    if (wantedCodes === null) {
      object("mismatches", `what the manifest of ${vin} holds is not recorded`);
      continue;
    }
    for (const serviceCode of wantedCodes)
      if (!active.has(pairOf({ vin, serviceCode })))
        object("staleManifests", `the manifest of ${vin} holds ${serviceCode}, which is not active`);
    for (const one of shown)
      if (one.vin === vin && endOf(one) === "active" && !wantedCodes.includes(one.serviceCode))
        object("staleManifests", `the manifest of ${vin} lacks ${one.serviceCode}, which is active`);
  }
}

/** An entitlement lasts exactly as long as its activation. */
function judgeEntitlements({ shown, entitlements }: Evidence, object: Objection): void {
  const states = new Map(entitlements.map(({ activationId, state }) => [activationId, state]));
  for (const one of shown) {
    const { activationId, vin, serviceCode } = one;
    const state = states.get(activationId);
    const what = `the entitlement of activation ${activationId} (${serviceCode} in ${vin})`;
    if (endOf(one) === "active") {
      if (state !== "proved")
        object("staleEntitlements", `${what} is ${state ?? "not there"}, and it is active`);
    } else if (state !== undefined && state !== "ended")
      object("staleEntitlements", `${what} is ${state}, and it has ended as ${one.state}`);
  }
}

/** At the time of the report: the next change would hide a slot that was not switched back. */
function judgeRollBacks({ commits }: Evidence, object: Objection): void {
  const failed = commits.filter(({ result }) => result === "failed");
  for (const { vin, version, slotVersion } of failed)
    if (slotVersion === version)
      object("notRolledBack", `${vin} told that version ${version} failed, and its active slot held it`);
  if (commits.length > 0 && commits.every(({ slotVersion }) => slotVersion === null))
    object("mismatches", "no car's active slot was read when it told what became of a version");
}

/** What was not written down could not be judged: an empty record proves nothing. */
function judgeRecords({ cars, commits, believed }: Evidence, object: Objection): void {
  const committed = new Set(commits.flatMap(({ vin, result }) => (result === "applied" ? [vin] : [])));
  const known = new Set(believed.map(({ vin }) => vin));
  for (const { vin, codes } of cars) {
    if (codes.length > 0 && !committed.has(vin))
      object("mismatches", `${vin} holds ${codes.join(", ")} and no version that it committed is recorded`);
    if (!known.has(vin)) object("mismatches", `what the platform believes of ${vin} is not recorded`);
  }
}

/** No version twice, none after a newer one, none that only a forger gave out. */
function judgeCommits({ commits, believed, forgedOffset }: Evidence, object: Objection): void {
  const newest = new Map<string, number>();
  const applied = new Set<string>();
  for (const { vin, version, result } of commits) {
    if (version > forgedOffset) object("unsignedAccepted", `${vin} processed version ${version}, a forger's`);
    if (result !== "applied") continue;
    const name = `${vin}/${version}`;
    if (applied.has(name)) object("doubleApplies", `${vin} committed version ${version} twice`);
    applied.add(name);
    const held = newest.get(vin) ?? 0;
    if (version < held) object("staleApplied", `${vin} held version ${held} and committed ${version}`);
    newest.set(vin, Math.max(held, version));
  }
  for (const { vin, version, seq } of believed)
    if (version > forgedOffset || seq > forgedOffset)
      object("unsignedAccepted", `the platform believes ${vin} a forger's version ${version} or seq ${seq}`);
}

function pairOf({ vin, serviceCode }: Pick<Asked | Shown, "vin" | "serviceCode">): string {
  return `${vin}/${serviceCode}`;
}

function groupBy<T>(list: readonly T[], keyOf: (one: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const one of list) {
    const key = keyOf(one);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [one]);
    else group.push(one);
  }
  return groups;
}
