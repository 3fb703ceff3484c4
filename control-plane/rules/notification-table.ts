// Specification: "Notification Workflows → Notification Types and Timing", and the diagram of "Notification Triggers and
// Channels".

export type Channel = "email" | "sms" | "push" | "inApp";
export type Recipient = "customer" | "support";
export type Timing =
  | "immediate"
  | "asReceivedFromFactory"
  | "whenTransportStarts"
  | "afterAllRetries"
  | "bySchedule"
  | "whenOverdue";
export type Priority = "low" | "medium" | "high" | "critical";

/** Groups of events the router listens to (ND1…ND9). */
export const notificationTriggers = {
  ND1: "Sale registered",
  ND2: "Manufacturing milestone",
  ND3: "Vehicle ready",
  ND4: "Payment confirmed",
  ND5: "Vehicle in transit",
  ND6: "Delivery attempted",
  ND7: "Service activated",
  ND8: "OTA failed",
  ND9: "Maintenance due",
} as const;

export type TriggerId = keyof typeof notificationTriggers;

export type NotificationRow = {
  event: string;
  /** The diagram's trigger this message belongs to; null where the diagram draws none. */
  trigger: TriggerId | null;
  recipient: Recipient;
  channels: readonly Channel[];
  timing: Timing;
  priority: Priority;
};

/** A row of the specification's table, in its order of columns. */
export function message(
  event: string,
  trigger: TriggerId | null,
  recipient: Recipient,
  channels: readonly Channel[],
  timing: Timing,
  priority: Priority,
): NotificationRow {
  return { event, trigger, recipient, channels, timing, priority };
}

// biome-ignore format: one row a line
export const notificationTable = {
  //             event                            trigger recipient channels                  timing                   priority
  NT1:  message("Credentials generated",         "ND1", "customer", ["email"],                  "immediate",             "high"),
  NT2:  message("Order placed with factory",     null,  "customer", ["email", "push"],          "immediate",             "medium"),
  NT3:  message("Manufacturing status update",   "ND2", "customer", ["email", "push"],          "asReceivedFromFactory", "low"),
  NT4:  message("Vehicle ready at factory",      "ND3", "customer", ["email", "sms", "push"],   "immediate",             "high"),
  NT5:  message("Payment successful",            "ND4", "customer", ["email"],                  "immediate",             "medium"),
  NT6:  message("Vehicle registered",            null,  "customer", ["email"],                  "immediate",             "medium"),
  NT7:  message("Vehicle in transit",            "ND5", "customer", ["email", "sms", "push"],   "whenTransportStarts",   "high"),
  NT8:  message("Delivery attempted, failed",    "ND6", "customer", ["sms", "push"],            "immediate",             "high"),
  NT9:  message("Mobile app linked",             null,  "customer", ["push", "inApp"],          "immediate",             "medium"),
  NT10: message("Service activated",             "ND7", "customer", ["push", "inApp", "email"], "immediate",             "medium"),
  NT11: message("OTA activation failed",         "ND8", "customer", ["email"],                  "afterAllRetries",       "high"),
  NT12: message("OTA activation failed",         "ND8", "support",  ["email"],                  "afterAllRetries",       "critical"),
  NT13: message("Maintenance due soon",          "ND9", "customer", ["email", "push"],          "bySchedule",            "low"),
  NT14: message("Maintenance overdue",           "ND9", "customer", ["email", "sms", "push"],   "whenOverdue",           "high"),
  NT15: message("Service denied by maintenance", null,  "customer", ["push", "inApp"],          "immediate",             "high"),
};

export type NotificationId = keyof typeof notificationTable;
