import { randomUUID } from "node:crypto";
import { parseVin } from "@caas/contract/vin.ts";
import { startFactory } from "@caas/simulator/stand-ins/factory/server.ts";
import { startGateway } from "@caas/simulator/stand-ins/gateway/server.ts";
import { Webhook } from "standardwebhooks";
import { createAccounts } from "../features/accounts/accounts.ts";
import { seedCatalog } from "../features/catalog/seed-catalog.ts";
import { createOrders } from "../features/orders/orders.ts";
import { createPayments } from "../features/payments/payments.ts";
import { createSales } from "../features/sales/sales.ts";
import { verifyStandardWebhook, verifyStripeWebhook } from "../http/webhook-signatures.ts";
import { each } from "../lifecycle/events.ts";
import { createFactory } from "../partners/factory.ts";
import { createPaymentGateway, type PaymentGateway } from "../partners/payment-gateway.ts";
import { defaultFinalPaymentTerms, type FinalPaymentTerms } from "../rules/final-payment-policy.ts";
import { defaultPresumptionLimits } from "../rules/presumption-policy.ts";
import { createTestPlatform, type TestPlatform } from "./harness.ts";
import { createMailbox, type Mailbox } from "./mailbox.ts";
import { newSale, type Person, type Staff, seedStaff, signIn } from "./people.ts";

const factorySecret = `whsec_${Buffer.from("the factory's secret in a test").toString("base64")}`;
const gatewaySecret = "whsec_the gateway's secret in a test";
const apiKey = "the key of a test";

/** Long enough for a busy machine to answer, short enough to wait for when a stand-in never does. */
const partnerTimeoutMs = 1_500;

/** A partner's control entrance. */
export type Control = (
  method: "GET" | "PUT" | "POST" | "DELETE",
  path: string,
  body?: object,
) => Promise<unknown>;

export type SoldCar = {
  customer: Person;
  customerId: string;
  expedienteId: string;
  vehicleId: string;
  reference: string;
};

export type SalePlatform = TestPlatform & {
  staff: Staff;
  mailbox: Mailbox;
  gateway: Control;
  /** The platform's own way to it. */
  paymentGateway: PaymentGateway;
  factory: Control;
  /** Runs jobs and looks, again after every committed step, until `look` finds something. */
  until<T>(what: string, look: () => Promise<T | undefined>): Promise<T>;
  /** Until the vehicle is in `state`. */
  untilState(vehicleId: string, state: string): Promise<void>;
  /** Sells a car to a new customer who has signed in with the mailed credentials. */
  sell(): Promise<SoldCar>;
  /** Sells, takes the reservation in cash, and has the factory build the car. */
  sellReadyCar(): Promise<SoldCar>;
  /** Delivers a signed message of the factory. */
  tellFromFactory(type: string, data: object, id?: string): Promise<{ status: number; body: unknown }>;
  stateOf(vehicleId: string): Promise<string>;
};

/** Sale, payments and orders on real stand-ins of gateway and factory; the ready message counts as sent at once. */
export async function createSalePlatform(options: {
  name: string;
  factoryPace: { mode: "auto"; milestoneDelayMs: number } | { mode: "manual" };
  /** No provider takes the ready message. */
  readyNoticeFails?: boolean;
  /** As the specification says, where none are given. */
  finalPayment?: FinalPaymentTerms;
}): Promise<SalePlatform> {
  const mailbox = createMailbox();
  // Both stand-ins live on the platform's business time, which the platform is not there yet to give.
  let clock = { now: () => new Date() };
  const partnerOptions = { port: 0, storePath: ":memory:", apiKey, clock: { now: () => clock.now() } };
  const factoryServer = await startFactory({
    ...partnerOptions,
    webhook: { baseUrl: null, secret: factorySecret, retryBaseMs: 20 },
    pace: options.factoryPace,
  });
  const gatewayServer = await startGateway({
    ...partnerOptions,
    webhook: { baseUrl: null, secret: gatewaySecret, retryBaseMs: 20 },
  });
  const paymentGateway = createPaymentGateway({
    baseUrl: gatewayServer.url,
    apiKey,
    timeoutMs: partnerTimeoutMs,
  });
  const platform = await createTestPlatform(
    (context, { steps }) => {
      const accounts = createAccounts(context, { sendCredentials: mailbox.send });
      const payments = createPayments(context, {
        gateway: paymentGateway,
        verifyWebhook: verifyStripeWebhook([gatewaySecret], context.realClock),
        presumption: defaultPresumptionLimits,
        finalPayment: options.finalPayment ?? defaultFinalPaymentTerms,
      });
      const orders = createOrders(context, {
        factory: createFactory({ baseUrl: factoryServer.url, apiKey, timeoutMs: partnerTimeoutMs }),
        verifyWebhook: verifyStandardWebhook([factorySecret], context.realClock),
        enrolmentPackageFor: async (vehicleId) => {
          const { vin } = await context.db
            .selectFrom("vehicles")
            .where("id", "=", vehicleId)
            .select("vin")
            .executeTakeFirstOrThrow();
          return {
            vin: parseVin(vin ?? ""),
            token: "the one-time token of a test",
            controlPlaneUrl: "http://127.0.0.1:1",
            rootPublicKey: "r".repeat(43),
            expiresAt: "2027-01-01T00:00:00.000Z",
          };
        },
      });
      return {
        capabilities: [accounts, createSales(context, { steps }), payments, orders],
        handlers: {
          saleRegistered: [accounts.onSaleRegistered],
          vehicleMoved: [payments.onVehicleMoved, orders.onVehicleMoved],
          reservationPaid: [orders.onReservationPaid],
          notificationAccepted: [orders.onNotificationAccepted],
          notificationDue: [
            each(async (tx, { row, subject }) => {
              if (row === "NT4" && options.readyNoticeFails !== true)
                await context.publish(tx, "notificationAccepted", [
                  {
                    row,
                    notificationId: randomUUID(),
                    subject,
                  },
                ]);
            }),
          ],
          servicePaymentRequested: [payments.onServicePaymentRequested],
          serviceCaptureRequested: [payments.onServiceCaptureRequested],
          serviceVoidRequested: [payments.onServiceVoidRequested],
        },
      };
    },
    { name: options.name },
  );
  clock = platform.clock;
  const baseUrl = await platform.listen();
  const gateway = controlOf(gatewayServer.url);
  const factory = controlOf(factoryServer.url);
  await gateway("PUT", "/_control/webhooks", { baseUrl });
  await factory("PUT", "/_control/webhooks", { baseUrl });
  await seedCatalog(platform.db);
  const staff = await seedStaff(platform);

  async function stateOf(vehicleId: string): Promise<string> {
    const { state } = await platform.db
      .selectFrom("vehicles")
      .where("id", "=", vehicleId)
      .select("state")
      .executeTakeFirstOrThrow();
    return state;
  }

  function until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
    return platform.waitUntil(what, async () => {
      await platform.runJobs();
      return look();
    });
  }

  async function untilState(vehicleId: string, state: string): Promise<void> {
    await until(`the vehicle becomes ${state}`, async () =>
      (await stateOf(vehicleId)) === state ? true : undefined,
    );
  }

  async function sell(): Promise<SoldCar> {
    const sale = newSale();
    const sold = await staff.sales.post("/api/sales", sale);
    await platform.runJobs();
    const password = mailbox.to(sale.customer.email)[0]?.password ?? "";
    return {
      customer: await signIn(platform, sale.customer.email, password),
      customerId: sold.text("expediente.customer.customerId"),
      expedienteId: sold.text("expediente.expedienteId"),
      vehicleId: sold.text("expediente.vehicle.vehicleId"),
      reference: sold.text("expediente.reference"),
    };
  }

  return {
    ...platform,
    staff,
    mailbox,
    gateway,
    paymentGateway,
    factory,
    until,
    untilState,
    sell,
    async sellReadyCar() {
      const car = await sell();
      const paid = await staff.sales.post(`/api/expedientes/${car.expedienteId}/reservation-payment`, {
        method: "cash",
        amountCents: 50_000,
      });
      if (paid.status !== 202) throw new Error(`the reservation: ${JSON.stringify(paid.body)}`);
      await untilState(car.vehicleId, "PaymentPending");
      return car;
    },
    async tellFromFactory(type, data, id = `msg_${randomUUID()}`) {
      const body = JSON.stringify({ type, occurredAt: platform.clock.now().toISOString(), data });
      const at = new Date();
      const reply = await platform.server.inject({
        method: "POST",
        url: "/webhooks/factory",
        headers: {
          "content-type": "application/json",
          "webhook-id": id,
          "webhook-timestamp": String(Math.floor(at.getTime() / 1000)),
          "webhook-signature": new Webhook(factorySecret).sign(id, at, body),
        },
        payload: body,
      });
      return { status: reply.statusCode, body: reply.json() };
    },
    stateOf,
    async close() {
      await factoryServer.close();
      await gatewayServer.close();
      await platform.close();
    },
  };
}

function controlOf(url: string): Control {
  return async (method, path, body) => {
    const response = await fetch(`${url}${path}`, {
      method,
      ...(body === undefined
        ? {}
        : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    const answer: unknown = text === "" ? null : JSON.parse(text);
    return answer;
  };
}
