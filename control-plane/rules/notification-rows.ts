import { additionSection } from "./additions.ts";
import { type NotificationRow, notificationTable } from "./notification-table.ts";

/** Messages the business owes its customers and the specification's table leaves out, each with its reason. */
export const addedNotifications = {
  NX1: {
    event: "Reservation lost",
    trigger: null,
    recipient: "customer",
    channels: ["email"],
    timing: "immediate",
    priority: "high",
    section: additionSection,
    reason:
      'When the final payment fails the "customer loses reservation"; somebody who loses money must be told, and by whom.',
  },
  NX2: {
    event: "Service withdrawn, payment not taken",
    trigger: null,
    recipient: "customer",
    channels: ["email"],
    timing: "immediate",
    priority: "high",
    section: additionSection,
    reason:
      "A bank may refuse what it held after the car has proved the service: it is withdrawn, and the customer hears why.",
  },
  NX3: {
    event: "Service not delivered, presumed payment not made",
    trigger: null,
    recipient: "customer",
    channels: ["email"],
    timing: "immediate",
    priority: "high",
    section: additionSection,
    reason:
      "The service was on its way on a payment that was presumed and does not exist: whoever waits for it must hear that it does not come, and that nothing was charged.",
  },
  NX4: {
    event: "Service withdrawn after a charge-back",
    trigger: null,
    recipient: "customer",
    channels: ["email"],
    timing: "immediate",
    priority: "high",
    section: additionSection,
    reason:
      "A customer may have asked their bank about a line they did not recognise: they must hear what it was for and that it is switched off.",
  },
  NX5: {
    event: "Payment given back",
    trigger: null,
    recipient: "customer",
    channels: ["email"],
    timing: "immediate",
    priority: "medium",
    section: additionSection,
    reason:
      "A bank shows a refund days later: until then only we can say that it is on its way, and whether the service goes with it.",
  },
  NX6: {
    event: "Final payment due soon",
    trigger: null,
    recipient: "customer",
    channels: ["email"],
    timing: "bySchedule",
    priority: "high",
    section: additionSection,
    reason:
      "Where a dealership sets a date after which the car and the reservation are lost, nobody may lose them by forgetting it.",
  },
  NX7: {
    event: "Reservation lost, not paid in time",
    trigger: null,
    recipient: "customer",
    channels: ["email"],
    timing: "immediate",
    priority: "high",
    section: additionSection,
    reason: "As NX1, where it was not the bank that refused but the date that passed.",
  },
  NX8: {
    event: "Final payment refused, may be tried again",
    trigger: null,
    recipient: "customer",
    channels: ["email"],
    timing: "immediate",
    priority: "high",
    section: additionSection,
    reason: "Who may still keep the car must hear that the bank refused and how often it may be tried again.",
  },
} as const satisfies Record<string, NotificationRow & { section: string; reason: string }>;

/** Every message there is: the specification's rows and the additions. */
export const notificationRows = { ...notificationTable, ...addedNotifications };

export type NotificationRowId = keyof typeof notificationRows;
