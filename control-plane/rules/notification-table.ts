/** Specification: "Notification Workflows → Notification Types and Timing" and its diagram of triggers. */
export const notificationSection = "Notification Workflows → Notification Types and Timing";
export const triggerSection = "Notification Workflows → Notification Triggers and Channels";

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

export const notificationTable = {
  NT1: {
    event: "Credentials generated",
    trigger: "ND1",
    recipient: "customer",
    channels: ["email"],
    timing: "immediate",
    priority: "high",
  },
  NT2: {
    event: "Order placed with factory",
    trigger: null,
    recipient: "customer",
    channels: ["email", "push"],
    timing: "immediate",
    priority: "medium",
  },
  NT3: {
    event: "Manufacturing status update",
    trigger: "ND2",
    recipient: "customer",
    channels: ["email", "push"],
    timing: "asReceivedFromFactory",
    priority: "low",
  },
  NT4: {
    event: "Vehicle ready at factory",
    trigger: "ND3",
    recipient: "customer",
    channels: ["email", "sms", "push"],
    timing: "immediate",
    priority: "high",
  },
  NT5: {
    event: "Payment successful",
    trigger: "ND4",
    recipient: "customer",
    channels: ["email"],
    timing: "immediate",
    priority: "medium",
  },
  NT6: {
    event: "Vehicle registered",
    trigger: null,
    recipient: "customer",
    channels: ["email"],
    timing: "immediate",
    priority: "medium",
  },
  NT7: {
    event: "Vehicle in transit",
    trigger: "ND5",
    recipient: "customer",
    channels: ["email", "sms", "push"],
    timing: "whenTransportStarts",
    priority: "high",
  },
  NT8: {
    event: "Delivery attempted, failed",
    trigger: "ND6",
    recipient: "customer",
    channels: ["sms", "push"],
    timing: "immediate",
    priority: "high",
  },
  NT9: {
    event: "Mobile app linked",
    trigger: null,
    recipient: "customer",
    channels: ["push", "inApp"],
    timing: "immediate",
    priority: "medium",
  },
  NT10: {
    event: "Service activated",
    trigger: "ND7",
    recipient: "customer",
    channels: ["push", "inApp", "email"],
    timing: "immediate",
    priority: "medium",
  },
  NT11: {
    event: "OTA activation failed",
    trigger: "ND8",
    recipient: "customer",
    channels: ["email"],
    timing: "afterAllRetries",
    priority: "high",
  },
  NT12: {
    event: "OTA activation failed",
    trigger: "ND8",
    recipient: "support",
    channels: ["email"],
    timing: "afterAllRetries",
    priority: "critical",
  },
  NT13: {
    event: "Maintenance due soon",
    trigger: "ND9",
    recipient: "customer",
    channels: ["email", "push"],
    timing: "bySchedule",
    priority: "low",
  },
  NT14: {
    event: "Maintenance overdue",
    trigger: "ND9",
    recipient: "customer",
    channels: ["email", "sms", "push"],
    timing: "whenOverdue",
    priority: "high",
  },
  NT15: {
    event: "Service denied by maintenance",
    trigger: null,
    recipient: "customer",
    channels: ["push", "inApp"],
    timing: "immediate",
    priority: "high",
  },
} as const satisfies Record<string, NotificationRow>;

export type NotificationId = keyof typeof notificationTable;
