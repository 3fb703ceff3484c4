import { message, notificationTable } from "./notification-table.ts";

/** Messages the business owes its customers and the specification's table leaves out, each with its reason. */
// biome-ignore format: one row a line, its reason below
export const addedNotifications = {
  NX1: { ...message("Reservation lost",                                 null, "customer", ["email"], "immediate",  "high"),
    reason: 'When the final payment fails the "customer loses reservation"; a customer who loses money must be told, and by us.' },
  NX2: { ...message("Service withdrawn, payment not taken",             null, "customer", ["email"], "immediate",  "high"),
    reason: "A bank may refuse what it held after the car has proved the service: it is withdrawn, and the customer hears why." },
  NX3: { ...message("Service not delivered, presumed payment not made", null, "customer", ["email"], "immediate",  "high"),
    reason: "The service was on its way on a presumed payment that does not exist: the customer must hear that it does not come, uncharged." },
  NX4: { ...message("Service withdrawn after a charge-back",            null, "customer", ["email"], "immediate",  "high"),
    reason: "The customer may only have asked about a line they did not recognise: they must hear what it was for and that it is off." },
  NX5: { ...message("Payment given back",                               null, "customer", ["email"], "immediate",  "medium"),
    reason: "A bank shows a refund days later: until then only we can say that it is on its way, and whether the service goes with it." },
  NX6: { ...message("Final payment due soon",                           null, "customer", ["email"], "bySchedule", "high"),
    reason: "A dealership may set a date after which the car and the reservation are lost; no customer may lose them by forgetting it." },
  NX7: { ...message("Reservation lost, not paid in time",               null, "customer", ["email"], "immediate",  "high"),
    reason: "As NX1, where the bank did not refuse but the date passed." },
  NX8: { ...message("Final payment refused, may be tried again",        null, "customer", ["email"], "immediate",  "high"),
    reason: "A customer who may still keep the car must hear that the bank refused and how many tries are left." },
  NX9: { ...message("Payment to be confirmed at the bank",              null, "customer", ["email", "push"], "immediate", "high"),
    reason: "The bank lets only the customer say yes (3-D Secure): without the link and the time the payment ends unmade." },
  NX10: { ...message("Payment still to be confirmed at the bank",       null, "customer", ["email", "push"], "bySchedule", "high"),
    reason: "As NX9, half-way: no customer may lose a car by a page that was closed too early." },
  NX11: { ...message("Payment not made, no refusal",                    null, "customer", ["email"], "immediate",  "high"),
    reason: "The gateway gave up after the customer had gone: they must hear that nothing was taken, and what to do." },
  NX12: { ...message("Service not delivered, hold lost",                null, "customer", ["email"], "immediate",  "high"),
    reason: "The bank, or the gateway, let the price go while the service was on its way: the customer must hear that it does not come, uncharged." },
  NX13: { ...message("Refund came back",                                null, "customer", ["email"], "immediate",  "high"),
    reason: "We said that the money was on its way; a bank that sends it back tells nobody but us, and the customer waits for it." },
  NX14: { ...message("Car doubted",                                     null, "support",  ["email"], "immediate",  "critical"),
    reason: "A copied or damaged identity is as urgent as a failed activation, of which support is mailed; a task alone waits until it is seen." },
};

/** Every message there is: the specification's rows and the additions. */
export const notificationRows = { ...notificationTable, ...addedNotifications };

export type NotificationRowId = keyof typeof notificationRows;

/**
 * Messages that are not sent any more once one of these follows them for the same sale: "the factory has begun" after
 * "your car is ready" only confuses, while a message about money is always owed.
 */
export const overtakenBy = {
  NT3: ["NT3", "NT4", "NT6", "NT7", "NT8", "NT9"],
} as const satisfies Partial<Record<NotificationRowId, readonly NotificationRowId[]>>;

/** The car's state waits until this message has been taken: ReadyAtFactory, until the customer is told (VA4). */
export const awaitedNotification = "NT4" satisfies NotificationRowId;
