import { randomUUID } from "node:crypto";
import { checkDigit, parseVin } from "@caas/contract/vin.ts";
import { startAuthority } from "@caas/simulator/stand-ins/authority/server.ts";
import { type RunningInbox, startInbox } from "@caas/simulator/stand-ins/inbox/server.ts";
import type { RunningPartner } from "@caas/simulator/stand-ins/shared/partner.ts";
import { startTransport } from "@caas/simulator/stand-ins/transport/server.ts";
import { startVss } from "@caas/simulator/stand-ins/vss/server.ts";
import type { Insertable } from "kysely";
import * as z from "zod";
import { createAccounts } from "../features/accounts/accounts.ts";
import { insertUser } from "../features/accounts/create-staff.ts";
import { createCatalog } from "../features/catalog/catalog.ts";
import { seedCatalog } from "../features/catalog/seed-catalog.ts";
import { createDelivery } from "../features/delivery/delivery.ts";
import { createLinking } from "../features/linking/linking.ts";
import { createMaintenance, type Maintenance } from "../features/maintenance/maintenance.ts";
import { createNotifications, type Notifications } from "../features/notifications/notifications.ts";
import { createRegistration, type Registration } from "../features/registration/registration.ts";
import { createTasks } from "../features/tasks/tasks.ts";
import { generatePassword, hashPassword } from "../http/passwords.ts";
import { verifyStandardWebhook } from "../http/webhook-signatures.ts";
import { createMail } from "../partners/mail.ts";
import { createRegistrationAuthority } from "../partners/registration-authority.ts";
import { createCarrier } from "../partners/transport.ts";
import { createVss } from "../partners/vss.ts";
import type { Transaction } from "../store/database.ts";
import { newId } from "../store/ids.ts";
import type { Database } from "../store/schema.ts";
import { createTestPlatform, type TestPlatform } from "./harness.ts";
import { type Person, type Staff, seedStaff, signIn } from "./people.ts";

export const supportEmail = "support@caas.example";
export const carrierSecret = "whsec_dHJhbnNwb3J0LXNlY3JldA==";
const apiKey = "a key for tests";

type VehicleFacts = Partial<Insertable<Database["vehicles"]>> & { state: string };

/** A car on its way from the factory to its buyer, and the buyer. */
export type SoldCar = {
  expedienteId: string;
  reference: string;
  vehicleId: string;
  vin: string;
  customerId: string;
  customerName: string;
  customerEmail: string;
};

export type AfterSales = {
  platform: TestPlatform;
  staff: Staff;
  registration: Registration;
  notifications: Notifications;
  maintenance: Maintenance;
  authority: RunningPartner;
  carrier: RunningPartner;
  vss: RunningPartner;
  inbox: RunningInbox;
  /** Milliseconds and outcome of every question to the workshops. */
  checks: { ms: number; status: string }[];
  /** What the car of this id was last asked to show as its linking code. */
  shownCode(vehicleId: string): string;
  /** Writes down a sale that has come as far as `facts` say, without playing what came before. */
  sell(facts: VehicleFacts & { customerName?: string }): Promise<SoldCar>;
  /** Where the vehicle is now. */
  stateOf(car: SoldCar): Promise<string>;
  customerOf(car: SoldCar): Promise<Person>;
  inTransaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T>;
  close(): Promise<void>;
};

/** How many documents with this reference a stand-in holds under `kind`: its own books, not ours. */
export async function countAtPartner(
  partner: RunningPartner,
  kind: string,
  reference: string,
): Promise<number> {
  const held = await (await fetch(`${partner.url}/_control/store`)).json();
  const books = z.record(z.string(), z.array(z.looseObject({}))).parse(held);
  return (books[kind] ?? []).filter((document) => document.reference === reference).length;
}

/** Facts of a car whose final payment has arrived and that nobody has registered yet. */
export const paid = {
  state: "PaymentPending",
  reservation_paid: true,
  factory_order_placed: true,
  manufacturing_complete: true,
  final_payment: "received",
} as const;

/** Facts of a car with its registration document. */
export const registered = { ...paid, state: "Registered", registration: "recorded" } as const;

/** The way from the final payment to the linked car, on real stand-ins and a real mail server. */
export async function createAfterSales(name: string): Promise<AfterSales> {
  const partner = { port: 0, storePath: ":memory:", apiKey };
  const authority = await startAuthority(partner);
  const vss = await startVss(partner);
  const inbox = await startInbox({ port: 0, smtpPort: 0, storePath: ":memory:" });
  const carrier = await startTransport({
    ...partner,
    pace: { mode: "manual" },
    webhook: { baseUrl: null, secret: carrierSecret, retryBaseMs: 20 },
  });
  const mail = createMail({ url: inbox.smtpUrl, from: "CaaS <no-reply@caas.example>" });
  const checks: AfterSales["checks"] = [];
  let parts: Pick<AfterSales, "registration" | "notifications" | "maintenance"> | undefined;

  const platform = await createTestPlatform(
    (context) => {
      const workshops = createVss({ baseUrl: vss.url, apiKey, checkBudgetMs: 1_000, timeoutMs: 1_500 });
      const registration = createRegistration(context, {
        registrationAuthority: createRegistrationAuthority({
          baseUrl: authority.url,
          apiKey,
          timeoutMs: 500,
        }),
      });
      const maintenance = createMaintenance(
        context,
        { vss: workshops },
        { observe: (ms, status) => checks.push({ ms, status }) },
      );
      const notifications = createNotifications(context, { mail }, { supportEmail });
      const tasks = createTasks(context);
      const delivery = createDelivery(context, {
        carrier: createCarrier({ baseUrl: carrier.url, apiKey, timeoutMs: 500 }),
        verifyTransportWebhook: verifyStandardWebhook([carrierSecret], context.realClock),
      });
      const linking = createLinking(context, {
        // Never 000000: a test guesses that one wrong.
        drawCode: () => String(100_000 + Math.floor(context.random() * 900_000)),
      });
      const catalog = createCatalog(context, { vss: workshops });
      const accounts = createAccounts(context, { sendCredentials: notifications.sendCredentials });
      parts = { registration, notifications, maintenance };
      return {
        capabilities: [accounts, registration, delivery, linking, catalog, maintenance, notifications, tasks],
        handlers: {
          finalPaymentReceived: [registration.onFinalPaymentReceived],
          vehicleMoved: [maintenance.onVehicleMoved],
          maintenanceCheckRequested: [maintenance.onMaintenanceCheckRequested],
          notificationDue: [notifications.onNotificationDue],
          taskNeeded: [tasks.onTaskNeeded, notifications.onTaskNeeded],
        },
      };
    },
    { name },
  );
  if (parts === undefined) throw new Error("the platform was not wired");
  await seedCatalog(platform.db);
  const staff = await seedStaff(platform);
  const baseUrl = await platform.listen();
  await fetch(`${carrier.url}/_control/webhooks`, {
    method: "PUT",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ baseUrl }),
  });
  let sales = 0;

  return {
    ...parts,
    platform,
    staff,
    authority,
    carrier,
    vss,
    inbox,
    checks,
    shownCode(vehicleId) {
      const shown = platform.published.findLast(
        (one) => one.name === "displayRequested" && one.event.vehicleId === vehicleId,
      );
      if (shown?.name !== "displayRequested" || shown.event.content.kind !== "linkingCode")
        throw new Error(`the car ${vehicleId} shows no code`);
      return shown.event.content.code;
    },
    async sell({ customerName = "Lucía Ferrer", ...facts }) {
      sales += 1;
      return insertSale(platform, staff, { number: sales, customerName, facts });
    },
    async stateOf(car) {
      const row = await platform.db
        .selectFrom("vehicles")
        .select("state")
        .where("id", "=", car.vehicleId)
        .executeTakeFirstOrThrow();
      return row.state;
    },
    async customerOf(car) {
      const password = generatePassword();
      const passwordHash = await hashPassword(password);
      await platform.db.transaction().execute((tx) =>
        insertUser(tx, {
          name: car.customerName,
          email: car.customerEmail,
          role: "customer",
          dealershipId: null,
          customerId: car.customerId,
          passwordHash,
        }),
      );
      return signIn(platform, car.customerEmail, password);
    },
    inTransaction: (work) => platform.db.transaction().execute(work),
    async close() {
      mail.close();
      await platform.close();
      await Promise.all([authority.close(), carrier.close(), vss.close(), inbox.close()]);
    },
  };
}

async function insertSale(
  { db, clock }: TestPlatform,
  staff: Staff,
  sale: { number: number; customerName: string; facts: VehicleFacts },
): Promise<SoldCar> {
  const number = String(sale.number).padStart(6, "0");
  const [vehicleId, customerId, expedienteId] = [newId(), newId(), newId()];
  const at = clock.now();
  const text = `WCAZZZ1B0TA${number}`;
  const vin = parseVin(`${text.slice(0, 8)}${checkDigit(text)}${text.slice(9)}`);
  const reference = `EXP-2026-${number}`;
  const customerEmail = `customer.${randomUUID().slice(0, 8)}@customer.example`;
  await db
    .insertInto("customers")
    .values({
      id: customerId,
      name: sale.customerName,
      email: customerEmail,
      phone: "+34600111222",
      address: JSON.stringify({
        street: "Calle Mayor 1",
        city: "Madrid",
        postalCode: "28013",
        country: "ES",
      }),
      created_at: at,
    })
    .execute();
  await db
    .insertInto("vehicles")
    .values({ id: vehicleId, vin, created_at: at, ...sale.facts })
    .execute();
  await db
    .insertInto("expedientes")
    .values({
      id: expedienteId,
      reference,
      customer_id: customerId,
      dealership_id: staff.dealershipId,
      vehicle_id: vehicleId,
      sold_by: staff.sales.userId,
      plan_comercial: JSON.stringify({
        base: { code: "ciudad", name: "Ciudad", priceCents: 2_990_000 },
        options: [{ code: "winterPack", name: "Winter pack", priceCents: 89_000 }],
      }),
      price_cents: 3_079_000,
      reservation_cents: 50_000,
      currency: "EUR",
      vin,
      created_at: at,
    })
    .execute();
  return {
    expedienteId,
    reference,
    vehicleId,
    vin,
    customerId,
    customerName: sale.customerName,
    customerEmail,
  };
}
