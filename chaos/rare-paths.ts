import type pg from "pg";
import type { CarCommit } from "./evidence.ts";
import { type OtaPlan, type PaymentFate, unansweredFates } from "./ota-plan.ts";

// Paths that customers seldom take and that go wrong unnoticed. A run that planned one and did not take it proves
// nothing about it.

/** Of the tables of the platform: each names a `count`. */
const counted = {
  presumed: "select count(*) from presumptions",
  presumptionConfirmed: "select count(*) from presumptions where outcome = 'confirmed'",
  presumptionRefuted: "select count(*) from presumptions where outcome = 'compensated'",
  confirmedAtBank:
    "select count(*) from payments where kind = 'service' and status = 'captured' and confirm_url is not null",
  confirmationRefused:
    "select count(*) from payments where decline_reason = 'payment_intent_authentication_failure'",
  confirmationExpired: "select count(*) from activations where end_reason = 'confirmationExpired'",
  lateDecline: "select count(*) from entitlements where end_reason = 'lateDecline'",
  holdLost: "select count(*) from activations where end_reason = 'holdLost'",
  holdExpired: "select count(*) from activations where end_reason = 'holdExpired'",
  refunded: "select count(*) from entitlements where end_reason = 'refunded'",
  chargeBackLost: "select count(*) from charge_backs where status = 'lost'",
  chargeBackWon: "select count(*) from charge_backs where status = 'won'",
  secondAttempt: "select count(*) from attempts where attempt > 1",
} as const;

const observed = [
  /** A car applied a version for an activation that had ended without it. */
  "lateProof",
  /** An error of the card networks, which is no refusal. */
  "networkFailed",
  /** A message of the gateway that never arrived. */
  "lostWebhook",
  /** A car whose files were damaged and that healed by itself. */
  "healed",
  /** A car that lost what proved it and got another package. */
  "enrolledAgain",
  /** A car whose clock is wrong and that applied a version. */
  "wrongClock",
] as const;

export type RarePath = keyof typeof counted | (typeof observed)[number];
export type RareCounts = Readonly<Record<string, number>>;

const isCounted = (path: string): path is keyof typeof counted => Object.hasOwn(counted, path);
export const allRarePaths: readonly RarePath[] = [...Object.keys(counted).filter(isCounted), ...observed];

/** Those that the plan makes happen. */
export function planRarePaths({ cars, purchases }: Pick<OtaPlan, "cars" | "purchases">): RarePath[] {
  const isFate = (kind: string) => cars.some(({ fate }) => fate.kind === kind);
  const isPayment = (...fates: PaymentFate[]) => purchases.some(({ payment }) => fates.includes(payment));
  const isLater = (later: string) => purchases.some((one) => one.later === later);
  const planned: Record<RarePath, boolean> = {
    presumed: isPayment(...unansweredFates),
    presumptionConfirmed: isPayment("losesAnswer", "losesRequest"),
    presumptionRefuted: isPayment("losesRequestThenRefuses"),
    confirmedAtBank: isPayment("confirms"),
    confirmationRefused: isPayment("refusesToConfirm"),
    confirmationExpired: isPayment("forgetsToConfirm"),
    networkFailed: isPayment("failsForNow"),
    lateDecline: isPayment("refusesCapture"),
    holdLost: isPayment("losesHold"),
    holdExpired: isFate("sleepsTooLong"),
    refunded: isLater("refunded"),
    chargeBackLost: isLater("chargedBack"),
    chargeBackWon: isLater("chargedBackInVain"),
    secondAttempt: isFate("unhealthy"),
    lateProof: purchases.some(({ cancels }) => cancels === "afterApplying"),
    lostWebhook: true,
    healed: cars.some(({ damage }) => damage !== null && damage.file === "entry"),
    enrolledAgain: cars.some(({ damage }) => damage !== null && damage.file === "unit"),
    wrongClock: isFate("wrongClock"),
  };
  return allRarePaths.filter((path) => planned[path]);
}

/** Reads how often each was taken; `seen`: what the database does not know. */
export async function countRarePaths(
  client: pg.Client,
  seen: Record<Exclude<(typeof observed)[number], "lateProof">, number>,
  commits: readonly CarCommit[],
): Promise<RareCounts> {
  const counts: Record<string, number> = {};
  for (const [path, query] of Object.entries(counted)) {
    const { rows } = await client.query<{ count: string }>(query);
    counts[path] = Number(rows[0]?.count ?? 0);
  }
  return { ...counts, lateProof: await countLateProofs(client, commits), ...seen };
}

async function countLateProofs(client: pg.Client, commits: readonly CarCommit[]): Promise<number> {
  const { rows } = await client.query<{ vin: string; version: number }>(
    `select link.vin, attempt.version from attempts attempt
     join activations activation on activation.id = attempt.activation_id and activation.state in ('NoCharge', 'PaymentFailed')
     join vehicle_links link on link.vehicle_id = attempt.vehicle_id`,
  );
  const given = new Set(rows.map(({ vin, version }) => `${vin}/${version}`));
  return commits.filter(({ vin, version, result }) => result === "applied" && given.has(`${vin}/${version}`))
    .length;
}
