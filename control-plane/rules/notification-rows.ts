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
};

/** Every message there is: the specification's rows and the additions. */
export const notificationRows = { ...notificationTable, ...addedNotifications };

export type NotificationRowId = keyof typeof notificationRows;

/** The car's state waits until this message has been taken: ReadyAtFactory, until the customer is told (VA4). */
export const awaitedNotification = "NT4" satisfies NotificationRowId;
