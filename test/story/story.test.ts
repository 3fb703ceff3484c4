import * as rest from "@caas/contract/client/generated.ts";
import { awaitMail, readMails } from "@caas/simulator/stand-ins/inbox/read-mails.ts";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import {
  arrangeTransport,
  linkApp,
  payAndRegister,
  startFinalPayment,
} from "../../start/story/bring-it-home.ts";
import { type BuiltCar, confirmedCard, refusedCard } from "../../start/story/buy-the-car.ts";
import { playHappyStory } from "../../start/story/happy-story.ts";
import { createStepRunner } from "../../start/story/step.ts";
import { browseCatalog, buyService } from "../../start/story/switch-a-service-on.ts";
import { buyCar, openStage, ownCar, readConfiguration, readGatewayBooks, type Stage } from "./stage.ts";

let stage: Stage;

beforeAll(async () => {
  stage = await openStage();
}, 120_000);

afterAll(() => stage.stop());

const supportMailbox = "support@caas.example";

/** The states a car or an activation went through, in the order they were recorded. */
function statesOf(steps: readonly rest.Step[]): string[] {
  return steps
    .toSorted((left, right) => left.id - right.id)
    .filter(({ from, to }) => to !== null && to !== from)
    .map(({ to }) => to ?? "");
}

function readManifest({ customer, vehicleId }: BuiltCar) {
  return rest.readTheManifestOfAVehicle(vehicleId, customer);
}

async function readVehicleState({ customer, vehicleId }: BuiltCar): Promise<string> {
  return (await rest.readAVehicle(vehicleId, customer)).state;
}

function readExpediente({ customer, expedienteId }: BuiltCar) {
  return rest.readAnExpediente(expedienteId, customer);
}

test("the story: from a sale to a paid service switched on in the car [DO14, SY17 SY18 SY20, LF1 LF2 LF8 LF12, VA1 VA2 VA3 VA4 VA5 VA9 VA10 VA11 VA14, VS1–VS5 VS8–VS10 VS12, SA1 SA2 SA3 SA6 SA9 SA10 SA17, SS1–SS3 SS5 SS7 SS8, AU1–AU5 AU7–AU9 AU11–AU13 AU15]", {
  timeout: 90_000,
}, async () => {
  const telling = await stage.tell();
  const steps: rest.Step[] = [];
  const runner = createStepRunner();
  const narrator = { act: () => undefined, step: (step: rest.Step) => void steps.push(step) };
  const end = await playHappyStory(
    { ...telling, step: runner.run, narrator },
    "teststory",
    stage.clock.now(),
  );
  expect(end).toEqual({ vehicleState: "Operational", activationState: "ServiceActive", payment: "captured" });

  expect(statesOf(steps.filter(({ activationId }) => activationId === null))).toEqual([
    "Ordered",
    "InManufacturing",
    "ReadyAtFactory",
    "PaymentPending",
    "Registered",
    "InTransit",
    "DeliveryAttempt",
    "Delivered",
    "Operational",
  ]);
  expect(statesOf(steps.filter(({ activationId }) => activationId !== null))).toEqual([
    "ServiceSelected",
    "MaintenanceCheck",
    "PaymentInitiated",
    "OTAQueue",
    "OTAAttempt",
    "ServiceActive",
  ]);
  // AU1 AU7 AU9 AU11 AU12 are people's; AU2 AU3 AU4 AU5 AU6 AU8 AU13 AU14 AU15 run unaided.
  const rows = new Map(
    steps.flatMap(({ automation, automatic }) => (automation === null ? [] : [[automation.row, automatic]])),
  );
  expect(
    [...rows]
      .filter(([, automatic]) => automatic)
      .map(([row]) => row)
      .sort(),
  ).toEqual(expect.arrayContaining(["AU13", "AU15", "AU2", "AU3", "AU4", "AU5", "AU8"]));
  for (const byHand of ["AU1", "AU7", "AU9", "AU11", "AU12"]) expect(rows.get(byHand), byHand).toBe(false);
  expect(runner.timings.map(({ name }) => name)).toContain("activation");
});

test("the final payment is refused: SinAsignar, then DealershipStock, and the reservation is lost [LF5 LF6, VA6 VA7, VS6 VS7, DE2, FA10]", {
  timeout: 60_000,
}, async () => {
  const telling = await stage.tell();
  const bought = await buyCar(telling);
  await startFinalPayment(bought, refusedCard);
  const stocked = await bought.feed.until("the car in stock", ({ to }) => to === "DealershipStock");
  expect(stocked.from).toBe("SinAsignar");
  expect(statesOf(bought.feed.steps()).slice(-3)).toEqual([
    "PaymentPending",
    "SinAsignar",
    "DealershipStock",
  ]);

  const expediente = await readExpediente(bought);
  expect(expediente.status).toBe("reservationLost");
  expect(expediente.payments.map(({ kind, status }) => ({ kind, status }))).toEqual(
    expect.arrayContaining([
      { kind: "reservation", status: "captured" },
      { kind: "final", status: "declined" },
    ]),
  );
  const reservation = expediente.payments.find(({ kind }) => kind === "reservation");
  const ledger = await rest.readTheLedgerOfAPayment(reservation?.id ?? "", telling.cast.sales);
  expect(ledger.transactions.map(({ kind }) => kind)).toEqual(["depositReceived", "depositForfeited"]);
  // Nobody may pay, move or register this car for this customer any more.
  await expect(startFinalPayment(bought, "pm_card_visa")).rejects.toThrow(/refused with 409/);
  await expect(arrangeTransport(telling, bought, stage.clock.now())).rejects.toThrow(/refused with 4/);
  await bought.feed.stop();
});

test("the bank wants the final payment confirmed: the customer does so on its page, and the story goes on [F7]", {
  timeout: 60_000,
}, async () => {
  const telling = await stage.tell();
  const bought = await buyCar(telling);
  await startFinalPayment(bought, confirmedCard);
  const mail = await awaitMail(telling.cast.partners.inbox, {
    to: bought.person.email,
    subject: "confirm your payment",
  });
  const [page] = /http:\S+\/confirm\/pi_\w+/.exec(mail.text) ?? [];
  const payment = (await readExpediente(bought)).payments.find(({ kind }) => kind === "final");
  const { confirmation } = await rest.readAPayment(payment?.id ?? "", bought.customer);
  expect(confirmation?.url).toBe(page);
  expect(await readVehicleState(bought)).toBe("PaymentPending");
  const back = await fetch(`${page}/confirm`, { method: "POST", redirect: "manual" });
  expect(back.status).toBe(303);
  await bought.feed.until("the final payment", ({ event }) => event === "finalPaymentReceived");
  await bought.feed.stop();
});

test("the customer is absent: the car goes back, is picked up at the dealership and linked; the mailbox tells of every step [LF3 LF4 LF7, VA12 VA13, VS11, FA8 FA9, SY13 SY19, ND1–ND5, ND12, NT5]", {
  timeout: 60_000,
}, async () => {
  const telling = await stage.tell();
  const { cast } = telling;
  const bought = await buyCar(telling);
  await payAndRegister(telling, bought);
  await cast.partners.transport.put("/_control/pace", {
    mode: "auto",
    stepDelayMs: 0,
    outcome: "customerAbsent",
  });
  try {
    expect(await arrangeTransport(telling, bought, stage.clock.now())).toBe("AtDealership");
  } finally {
    await cast.partners.transport.put("/_control/pace", {
      mode: "auto",
      stepDelayMs: 0,
      outcome: "customerPresent",
    });
  }
  // DE4: the app cannot be linked to a car that the customer does not have.
  await expect(linkApp(telling, bought)).rejects.toThrow(/refused with 409/);

  const { name } = bought.person;
  const pickedUp = await rest.handTheVehicleOverAtTheDealership(
    bought.expedienteId,
    { receivedBy: name },
    cast.sales,
  );
  expect(pickedUp.vehicleState).toBe("Delivered");
  await linkApp(telling, bought);
  expect(statesOf(bought.feed.steps()).slice(-4)).toEqual([
    "DeliveryAttempt",
    "AtDealership",
    "Delivered",
    "Operational",
  ]);
  expect(await readExpediente(bought)).toMatchObject({ status: "completed", delivery: { receivedBy: name } });
  const { notifications } = await rest.readTheNotificationsOfAnExpediente(
    bought.expedienteId,
    bought.customer,
  );
  // Its channels come later: recorded as not configured, never dropped.
  expect(
    notifications
      .filter(({ row }) => row === "NT8")
      .map(({ channel, status }) => `${channel} ${status}`)
      .sort(),
  ).toEqual(["push channelNotConfigured", "sms channelNotConfigured"]);
  for (const subject of [
    "Your access to Car-as-a-Service",
    "Your car is ready at the factory",
    "Your car is on its way",
  ])
    await awaitMail(cast.partners.inbox, { to: bought.person.email, subject });
  // News that the next message overtakes need not be sent any more.
  expect(notifications.map(({ row }) => row)).toContain("NT3");
  const mails = await readMails(cast.partners.inbox, bought.person.email);
  const receipts = mails.filter(({ subject }) => subject.startsWith("Payment received"));
  expect(receipts.map(({ text }) => /your (\w+) payment/.exec(text)?.[1])).toEqual(["reservation", "final"]);
  await bought.feed.stop();
});

test("the service payment is refused: PaymentFailed, and nothing of it is in the manifest, and the expediente has all about the customer [SA7 SA8, SS6, DE6, DA17, DA26]", {
  timeout: 60_000,
}, async () => {
  const telling = await stage.tell();
  const bought = await ownCar(telling, stage.clock);
  const before = await readManifest(bought);
  const held = readConfiguration(bought);
  const offered = await browseCatalog(telling, bought, "heatedSeats");
  const { state, activationId } = await buyService(telling, bought, offered, refusedCard);
  expect(state).toBe("PaymentFailed");

  expect(await readManifest(bought)).toEqual(before);
  expect(before.entries.map(({ code }) => code)).not.toContain("heatedSeats");
  expect(readConfiguration(bought)).toEqual(held);
  const { payment } = await rest.readAnActivation(activationId, bought.customer);
  expect(payment?.status).toBe("declined");
  const books = await readGatewayBooks(telling.cast);
  expect(books.find(({ reference }) => reference === payment?.id)).toMatchObject({
    declines: 1,
    heldCents: 0,
    capturedCents: 0,
  });
  const { car, person } = bought;
  expect(await readExpediente(bought)).toMatchObject({
    customer: { name: person.name, email: person.email },
    credentials: { username: person.email },
    planComercial: { base: { priceCents: expect.any(Number) } },
    vehicle: { vin: car.vin, state: "Operational", appLinkedAt: expect.any(String) },
    order: { status: "completed", vin: car.vin },
    payments: expect.arrayContaining([
      expect.objectContaining({ kind: "reservation", status: "captured" }),
      expect.objectContaining({ kind: "final", status: "captured" }),
      expect.objectContaining({ kind: "service", status: "declined" }),
    ]),
    registrationDocument: { plate: expect.any(String) },
    transport: { driver: expect.any(String) },
    delivery: { status: "success" },
    activations: [{ state: "PaymentFailed" }],
  });
  await bought.feed.stop();
});

test("maintenance is overdue: ServiceDenied, the gateway never hears of it, the car stays operational [LF9, SA4 SA5, SS4, DE5, DE11, ND7]", {
  timeout: 60_000,
}, async () => {
  const telling = await stage.tell();
  const { cast } = telling;
  const bought = await ownCar(telling, stage.clock);
  // The plan reaches the workshops by a job after the delivery.
  await vi.waitFor(
    () => cast.partners.vss.put(`/_control/vehicles/${bought.car.vin}`, { status: "overdue" }),
    10_000,
  );
  const before = await readGatewayBooks(cast);
  const offered = await browseCatalog(telling, bought, "heatedSeats");
  const { state, activationId } = await buyService(telling, bought, offered);
  expect(state).toBe("ServiceDenied");

  expect(await readGatewayBooks(cast)).toEqual(before);
  expect((await rest.readAnActivation(activationId, bought.customer)).payment).toBeNull();
  expect(await readVehicleState(bought)).toBe("Operational");
  // DE7: only what depends on maintenance is blocked.
  const free = await browseCatalog(telling, bought, "liveTraffic");
  expect((await buyService(telling, bought, free)).state).toBe("ServiceActive");
  await awaitMail(cast.partners.inbox, { to: bought.person.email, subject: "is active in your car" });
  await bought.feed.stop();
});

test("activation fails until its attempts end: ticket, customer and support told, hold voided, NoCharge, the car as it was [LF10 LF11, SA11 SA12 SA13 SA14 SA15 SA16, SS9–SS12, AU16 AU17, FA7, ND8, ND11 ND14, NT11 NT12]", {
  timeout: 120_000,
}, async () => {
  // A car whose programs do not start with this service: it fails after a good write, each time.
  const telling = await stage.tell({
    probeCommand: `! ls "$CAAS_CONFIGURATION_DIR" | grep -q "^heatedSeats[.]"`,
  });
  const { cast } = telling;
  const bought = await ownCar(telling, stage.clock);
  const held = readConfiguration(bought);
  const entries = (await readManifest(bought)).entries;
  const offered = await browseCatalog(telling, bought, "heatedSeats");
  const { state, activationId } = await buyService(telling, bought, offered, undefined, 60_000);
  expect(state).toBe("NoCharge");

  const activation = await rest.readAnActivation(activationId, bought.customer);
  expect(activation.attempts.map(({ attempt, result }) => `${attempt} ${result}`)).toEqual(
    [1, 2, 3, 4, 5].map((attempt) => `${attempt} failed`),
  );
  expect(
    statesOf(bought.feed.steps().filter((step) => step.activationId === activationId)).slice(-4),
  ).toEqual(["RetryQueue", "TechnicalSupport", "CustomerNotified", "NoCharge"]);

  const { tasks } = await rest.listTasks({}, cast.support);
  expect(tasks.filter((task) => task.activationId === activationId)).toMatchObject([
    { kind: "activationFailed", team: "support", status: "open" },
  ]);
  const told = await awaitMail(cast.partners.inbox, {
    to: bought.person.email,
    subject: "you are not charged",
  });
  expect(told.text).toContain("5 times");
  const alarmed = await awaitMail(cast.partners.inbox, {
    to: supportMailbox,
    subject: "Activation given up",
  });
  expect(alarmed.text).toContain(bought.car.vin);
  const mails = await readMails(cast.partners.inbox, bought.person.email);
  expect(mails.filter(({ subject }) => subject.includes("is active in your car"))).toEqual([]);

  const books = await readGatewayBooks(cast);
  expect(books.find(({ reference }) => reference === activation.payment?.id)).toMatchObject({
    heldCents: 0,
    capturedCents: 0,
    refundedCents: 0,
  });
  expect(activation.payment?.status).toBe("voided");
  expect((await readManifest(bought)).entries).toEqual(entries);
  expect(readConfigurationEntries(readConfiguration(bought))).toEqual(readConfigurationEntries(held));
  expect(await readVehicleState(bought)).toBe("Operational");
  await bought.feed.stop();
});

/** All but the index, whose version goes up with each manifest. */
function readConfigurationEntries(files: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(files).filter(([name]) => name !== "manifest.json"));
}
