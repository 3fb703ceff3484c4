import { createHash } from "node:crypto";
import { businessDay } from "@caas/contract/business-day.ts";
import { type Client, createClient, RestRefused } from "@caas/contract/client/client.ts";
import {
  arrangeTransport,
  linkTheAppToTheCar,
  listPlansAndOptions,
  payTheReservation,
  payTheRest,
  readTheStepsOfAnExpediente,
  registerASale,
  showALinkingCodeInTheCar,
  signIn,
} from "@caas/contract/client/generated.ts";
import { dayMs } from "@caas/contract/durations.ts";
import { type EnrolmentPackage, enrolmentPackageSchema } from "@caas/contract/enrolment.ts";
import * as z from "zod";
import { seededRandom } from "../chance/seeded-random.ts";
import { wordsOf } from "../command/run.ts";
import { createLatencies, type Latencies } from "../measure/latencies.ts";
import { aborted, beginWhenDue, nowMs } from "../run/pace.ts";
import type { Arrival } from "../run/plan-steps.ts";
import type { Dealership, Owner } from "../run/world.ts";
import { openStandIn } from "../stand-ins/client.ts";
import { awaitMail, readCredentials } from "../stand-ins/inbox/read-mails.ts";
import { confirmedCard, goodCard } from "./buyers.ts";
import { inventDni } from "./identity-documents.ts";

// A sale, from its registration to a car that is ready for use, as people and partners do it, over REST alone.

export type SellersOptions = {
  restUrl: string;
  dealership: Dealership;
  /** Acts as the factory: the car that was just built wakes up. */
  adopt: (given: EnrolmentPackage) => Promise<void>;
  onSold: (owner: Owner) => void;
  signal: AbortSignal;
};

export type Sellers = {
  /** Resolves when the last customer has arrived; each sale goes on. */
  receive(given: { arrivals: readonly Arrival[]; noMore: AbortSignal }): Promise<void>;
  codeShown(vin: string, code: string): void;
  /** `plansApplied`: operational cars that have proved their plan's services, when their weather let them. */
  readonly counts: {
    begun: number;
    operational: number;
    plansApplied: number;
    failed: Record<string, number>;
  };
  /** From the registered sale to the credentials' mail. */
  readonly credentialsLatencies: Latencies;
  /** From the registered sale to a car ready for use. */
  readonly saleLatencies: Latencies;
  /** Resolves when no sale is under way and each sold car has its plan, or when told. */
  untilSettled(signal: AbortSignal): Promise<void>;
};

/** The bank of every third customer wants the final payment confirmed (3-D Secure). */
const askedToConfirm = 3;

/** A milestone takes milliseconds at our stand-ins; at real partners this simulator is not used. */
const patienceMs = 60_000;
const pollMs = 10_000;

export function openSellers(options: SellersOptions): Sellers {
  const { dealership, signal } = options;
  const anybody = createClient({ baseUrl: options.restUrl });
  const factory = openStandIn(dealership.factoryUrl);
  const inbox = openStandIn(dealership.inboxUrl);
  const counts: Sellers["counts"] = { begun: 0, operational: 0, plansApplied: 0, failed: {} };
  const credentialsLatencies = createLatencies();
  const saleLatencies = createLatencies();
  const codes = new Map<string, (code: string) => void>();
  const underWay = new Set<Promise<void>>();
  let staff: Promise<Client> | null = null;
  // Customers of this run have addresses that no other run's have.
  const mark = createHash("sha256").update(`${nowMs()}`).digest("hex").slice(0, 8);

  function signInStaff(): Promise<Client> {
    staff ??= signIn({ username: dealership.username, password: dealership.password }, anybody).then(
      ({ token }) => ({
        ...anybody,
        token,
      }),
    );
    return staff;
  }

  async function sell(number: number, seed: number, dueMs: number): Promise<void> {
    const seller = await signInStaff();
    const { plans } = await listPlansAndOptions(seller);
    const plan = plans[Math.floor(seededRandom(seed)() * plans.length)];
    if (plan === undefined) throw new Error("there is no plan to sell");
    const email = `sim-${mark}-${number}@cars.example`;
    const { expediente } = await registerASale(
      {
        customer: {
          name: `Simulated Customer ${number}`,
          identityDocument: inventDni(number),
          email,
          phone: `+3461${String(number).padStart(7, "0")}`,
          address: { street: "Calle Mayor 1", city: "Madrid", postalCode: "28013", country: "ES" },
        },
        planComercial: { base: plan.code, options: [] },
      },
      seller,
    );
    const registeredMs = nowMs();
    const mail = await awaitMail(inbox, { to: email, subject: expediente.reference, signal });
    const login = readCredentials(mail);
    credentialsLatencies.record(nowMs() - registeredMs);
    const { token } = await signIn(login, anybody);
    const customer: Client = { ...anybody, token };
    const { id: expedienteId } = expediente;
    const { id: vehicleId } = expediente.vehicle;
    const follow = createFollower(seller, expedienteId, signal);

    await payTheReservation(expedienteId, { paymentMethod: goodCard }, customer);
    const { vin } = z.looseObject({ vin: z.string() }).parse((await follow("vinAssigned")).detail);
    await options.adopt(await factory.get(`/_control/enrolments?vin=${vin}`, enrolmentPackageSchema, signal));
    await follow("customerNotified");
    const asksToConfirm = number % askedToConfirm === 0;
    const paymentMethod = asksToConfirm ? confirmedCard : goodCard;
    await payTheRest(expedienteId, { paymentMethod }, customer);
    if (asksToConfirm) await confirmAtBank(email);
    await follow("vehicleRegistered");
    const date = businessDay(new Date(Date.now() + dayMs));
    await arrangeTransport(expedienteId, { date }, seller);
    await follow("customerPresent");
    const shown = new Promise<string>((resolve) => codes.set(vin, resolve));
    await showALinkingCodeInTheCar(vehicleId, {}, customer);
    const code = await Promise.race([shown, outOfPatience("the linking code in the car")]);
    const linked = await linkTheAppToTheCar(vehicleId, { code }, customer);
    if (linked.outcome !== "linked") throw new Error("the code was wrong");
    counts.operational += 1;
    saleLatencies.record(nowMs() - dueMs);
    options.onSold({ vin, vehicleId, ...login });
    keepUnderWay(seePlanApplied(follow));
  }

  /** The customer follows the link of the mail to the bank's page, and says yes there. */
  async function confirmAtBank(email: string): Promise<void> {
    const mail = await awaitMail(inbox, { to: email, subject: "confirm your payment", signal });
    const [page] = /https?:\S+\/confirm\/pi_\w+/.exec(mail.text) ?? [];
    if (page === undefined) throw new Error("the mail has no link to the bank's page");
    const answer = await fetch(`${page}/confirm`, { method: "POST", redirect: "manual", signal });
    if (answer.status !== 303) throw new Error(`the bank's page answered ${answer.status}`);
  }

  /** The sale is over; when the car takes its plan's services depends on its drives and its network. */
  async function seePlanApplied(follow: Follow): Promise<void> {
    await follow("planApplied", Number.POSITIVE_INFINITY).then(
      () => {
        counts.plansApplied += 1;
      },
      () => undefined,
    );
  }

  function keepUnderWay(work: Promise<void>): void {
    const kept = work.finally(() => underWay.delete(kept));
    underWay.add(kept);
  }

  async function tryToSell(number: number, seed: number, dueMs: number): Promise<void> {
    counts.begun += 1;
    try {
      await sell(number, seed, dueMs);
    } catch (error) {
      if (signal.aborted) return;
      const why = error instanceof RestRefused ? error.problem.code : wordsOf(error).slice(0, 120);
      counts.failed[why] = (counts.failed[why] ?? 0) + 1;
    }
  }

  return {
    counts,
    credentialsLatencies,
    saleLatencies,
    codeShown: (vin, code) => codes.get(vin)?.(code),
    async receive({ arrivals, noMore }) {
      await beginWhenDue(arrivals, noMore, ({ seed }, dueMs) =>
        keepUnderWay(tryToSell(counts.begun + 1, seed, dueMs)),
      );
    },
    async untilSettled(patience) {
      // A sale that ends leaves its plan behind.
      while (underWay.size > 0 && !patience.aborted)
        await Promise.race([Promise.all(underWay), aborted(patience)]);
    },
  };
}

type FoundStep = Awaited<ReturnType<typeof readTheStepsOfAnExpediente>>["steps"][number];

type Follow = (event: string, forMs?: number) => Promise<FoundStep>;

/** Waits for events of one expediente, past or to come, by long polls. */
function createFollower(client: Client, expedienteId: string, signal: AbortSignal): Follow {
  const seen: FoundStep[] = [];
  return async (event, forMs = patienceMs) => {
    const deadline = nowMs() + forMs;
    while (nowMs() < deadline) {
      const found = seen.find((step) => step.event === event);
      if (found !== undefined) return found;
      const after = Math.max(0, ...seen.map(({ id }) => id));
      const params = { after, waitMs: pollMs };
      const { steps } = await readTheStepsOfAnExpediente(expedienteId, params, { ...client, signal });
      // Numbers are drawn before the commit, so a lower one may become visible after a higher one was read.
      if (steps.length > 0) seen.push(...steps);
      else seen.splice(0, seen.length, ...(await readTheStepsOfAnExpediente(expedienteId, {}, client)).steps);
    }
    throw new Error(`waited in vain for ${event}`);
  };
}

async function outOfPatience(what: string): Promise<never> {
  await new Promise((resolve) => setTimeout(resolve, patienceMs).unref());
  throw new Error(`waited in vain for ${what}`);
}
