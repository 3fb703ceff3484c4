import { describe, expect, it } from "vitest";
import { activationMachine } from "./activation-machine.ts";
import {
  activationAddedGuards,
  activationAdditions,
  vehicleAddedGuards,
  vehicleAdditions,
} from "./additions.ts";
import { automationTable, isAutomaticLevel } from "./automation-table.ts";
import {
  activationDependencies,
  activationEdges,
  vehicleDependencies,
  vehicleEdges,
} from "./dependency-rules.ts";
import { addedNotifications } from "./notification-rows.ts";
import { type NotificationId, notificationTable, notificationTriggers } from "./notification-table.ts";
import type { ActivationFacts, VehicleFacts } from "./types.ts";
import { vehicleMachine } from "./vehicle-machine.ts";

const arrows = [...vehicleMachine.arrows, ...activationMachine.arrows];

describe("the tables hold together", () => {
  it("every row id is used once", () => {
    const ids = [
      ...arrows.map((row) => row.id),
      ...activationMachine.endings.map((row) => row.id),
      ...Object.keys(vehicleMachine.guards),
      ...Object.keys(activationMachine.guards),
    ];
    expect(new Set(ids).size).toBe(ids.length);
  });

  it("the specification's arrows are complete and numbered as it draws them", () => {
    const own = [...arrows, ...activationMachine.endings].map((row) => row.id);
    const expected = [
      ...Array.from({ length: 16 }, (_, index) => `VA${index + 1}`),
      ...Array.from({ length: 17 }, (_, index) => `SA${index + 1}`),
    ];
    expect(own.filter((id) => /^[VS]A/.test(id)).sort()).toEqual(expected.sort());
  });

  it("no state takes the same event in two ways", () => {
    for (const machine of [vehicleMachine, activationMachine]) {
      const pairs = machine.arrows.map((row) => `${row.from} ${row.event}`);
      expect(new Set(pairs).size).toBe(pairs.length);
    }
  });

  it("every rule and every edge of the diagram is a guard of at least one arrow [DE1–DE12]", () => {
    const used = new Set<string>(arrows.flatMap((row) => row.guards));
    const known = [...Object.keys(vehicleMachine.guards), ...Object.keys(activationMachine.guards)];
    expect([...used].sort()).toEqual(known.sort());
    const rules = { ...vehicleDependencies, ...activationDependencies };
    expect(Object.keys(rules)).toHaveLength(12);
    expect(Object.keys({ ...vehicleEdges, ...activationEdges })).toHaveLength(9);
  });

  it("a rule's exception is an arrow that exists and leads where the rule says [DE2, DE5, DE7]", () => {
    const rules = Object.entries({ ...vehicleDependencies, ...activationDependencies });
    const exceptions = rules.flatMap(([id, { exception }]) => {
      if (exception === null) return [];
      const arrow = arrows.find((row) => row.id === exception.arrow);
      return [[id, arrow?.event, arrow?.to]];
    });
    expect(exceptions).toEqual([
      ["DE2", "finalPaymentFailed", "SinAsignar"],
      ["DE5", "maintenanceOverdue", "ServiceDenied"],
      ["DE7", "maintenanceNotRequired", "PaymentInitiated"],
    ]);
  });

  it("every addition says why it exists", () => {
    const additions = [
      ...vehicleAdditions,
      ...activationAdditions,
      ...Object.values(vehicleAddedGuards),
      ...Object.values(activationAddedGuards),
    ];
    for (const { reason } of additions) expect(reason.length).toBeGreaterThan(30);
  });
});

describe("each dependency, both ways", () => {
  const nothing: VehicleFacts = {
    reservationPaid: false,
    factoryOrderPlaced: false,
    manufacturingComplete: false,
    finalPaymentReceived: false,
    registrationDocumentRecorded: false,
    transportArranged: false,
    physicallyDelivered: false,
    backAtDealership: false,
    linkCodeProved: false,
    orderCancelled: false,
  };
  const vehicleNeeds: [keyof typeof vehicleMachine.guards, (keyof VehicleFacts)[]][] = [
    ["DE1", ["reservationPaid"]],
    ["DE2", ["finalPaymentReceived"]],
    ["DE3", ["registrationDocumentRecorded"]],
    ["DE4", ["physicallyDelivered"]],
    ["DE8", ["factoryOrderPlaced"]],
    ["DE9", ["manufacturingComplete"]],
    ["DE10", ["finalPaymentReceived", "registrationDocumentRecorded", "transportArranged"]],
    ["CE1", ["reservationPaid"]],
    ["CE2", ["factoryOrderPlaced"]],
    ["CE3", ["manufacturingComplete"]],
    ["CE4", ["finalPaymentReceived"]],
    ["CE5", ["registrationDocumentRecorded"]],
    ["CE6", ["transportArranged"]],
    ["AG1", ["registrationDocumentRecorded"]],
    ["AG3", ["linkCodeProved"]],
  ];

  it.each(vehicleNeeds)("%s holds exactly when %j are true", (id, needs) => {
    const { holds } = vehicleMachine.guards[id];
    const enough = { ...nothing, ...Object.fromEntries(needs.map((need) => [need, true])) };
    expect(holds(enough)).toBe(true);
    for (const need of needs) expect(holds({ ...enough, [need]: false })).toBe(false);
  });

  const unserved: ActivationFacts = {
    vehicleOperational: false,
    appLinked: false,
    requesterIsCurrentOwner: false,
    serviceDependsOnMaintenance: true,
    maintenanceValidated: false,
    paymentConfirmed: false,
    attemptsUsed: 0,
    attemptsAllowed: 5,
  };
  const activationNeeds: [keyof typeof activationMachine.guards, (keyof ActivationFacts)[]][] = [
    ["DE5", ["maintenanceValidated"]],
    ["DE6", ["paymentConfirmed"]],
    ["DE7", ["maintenanceValidated"]],
    ["DE11", ["vehicleOperational", "appLinked", "maintenanceValidated"]],
    ["DE12", ["vehicleOperational", "appLinked"]],
    ["CE7", ["vehicleOperational", "appLinked", "requesterIsCurrentOwner"]],
    ["CE8", ["maintenanceValidated"]],
    ["CE9", ["paymentConfirmed"]],
    ["AG5", ["requesterIsCurrentOwner"]],
  ];

  it.each(activationNeeds)("%s holds exactly when %j are true", (id, needs) => {
    const { holds } = activationMachine.guards[id];
    const enough = { ...unserved, ...Object.fromEntries(needs.map((need) => [need, true])) };
    expect(holds(enough)).toBe(true);
    for (const need of needs) expect(holds({ ...enough, [need]: false })).toBe(false);
  });
});

describe("the automation table", () => {
  it("tells the automatic steps from the manual ones", () => {
    const automatic = Object.entries(automationTable).filter(([, row]) => isAutomaticLevel(row.level));
    expect(automatic.map(([id]) => id).join(" ")).toBe("AU2 AU3 AU4 AU5 AU6 AU8 AU13 AU14 AU15 AU16 AU17");
    expect(Object.keys(automationTable)).toHaveLength(18);
  });

  it("sale, credentials and workshop records are the only steps outside both machines", () => {
    const inMachines = new Set<string | null>(arrows.map((row) => row.automation));
    const outside = Object.keys(automationTable).filter((id) => !inMachines.has(id));
    expect(outside.join(" ")).toBe("AU1 AU2 AU3 AU18");
  });

  const steps: Record<keyof typeof automationTable, [level: string, actor: string, trigger: string]> = {
    AU1: ["manualEntry", "Dealership employee", "Customer completes sale"],
    AU2: ["fullyAutomated", "System", "Sales registration complete"],
    AU3: ["fullyAutomated", "E-mail service", "Credentials generated"],
    AU4: ["fullyAutomated", "Factory API integration", "Reservation payment received"],
    AU5: ["fullyAutomated", "Factory webhooks", "Manufacturing milestones"],
    AU6: ["fullyAutomated", "Notification engine", "Factory status received"],
    AU7: ["manualInitiation", "Customer", "Vehicle ready notification"],
    AU8: ["automatedCall", "Admin API integration", "Final payment confirmed"],
    AU9: ["semiAutomated", "Dealership and transport company", "Vehicle registered"],
    AU10: ["manual", "Transport driver", "Transport scheduled"],
    AU11: ["manual", "Customer and support", "Vehicle delivered"],
    AU12: ["manual", "Customer", "Customer initiative"],
    AU13: ["fullyAutomated", "VSS API integration", "Service selection"],
    AU14: ["automated", "Payment gateway", "Customer confirms purchase"],
    AU15: ["fullyAutomated", "OTA engine and API IoT", "Payment successful"],
    AU16: ["fullyAutomated", "OTA engine", "Activation failure"],
    AU17: ["automatedAlert", "System to support team", "All retries failed"],
    AU18: ["manual", "Workshop technician", "Service completed"],
  };

  it.each(Object.entries(steps))("%s is %j: its level, whose it is, and what sets it off", (id, row) => {
    const [level, actor, trigger] = row;
    expect(automationTable).toMatchObject({ [id]: { level, actor, trigger } });
  });
});

describe("the notification table", () => {
  const c = "customer";
  type Row = [event: string, recipient: string, channels: string, timing: string, priority: string];
  const expected: Record<NotificationId, Row> = {
    NT1: ["Credentials generated", c, "email", "immediate", "high"],
    NT2: ["Order placed with factory", c, "email push", "immediate", "medium"],
    NT3: ["Manufacturing status update", c, "email push", "asReceivedFromFactory", "low"],
    NT4: ["Vehicle ready at factory", c, "email sms push", "immediate", "high"],
    NT5: ["Payment successful", c, "email", "immediate", "medium"],
    NT6: ["Vehicle registered", c, "email", "immediate", "medium"],
    NT7: ["Vehicle in transit", c, "email sms push", "whenTransportStarts", "high"],
    NT8: ["Delivery attempted, failed", c, "sms push", "immediate", "high"],
    NT9: ["Mobile app linked", c, "push inApp", "immediate", "medium"],
    NT10: ["Service activated", c, "push inApp email", "immediate", "medium"],
    NT11: ["OTA activation failed", c, "email", "afterAllRetries", "high"],
    NT12: ["OTA activation failed", "support", "email", "afterAllRetries", "critical"],
    NT13: ["Maintenance due soon", c, "email push", "bySchedule", "low"],
    NT14: ["Maintenance overdue", c, "email sms push", "whenOverdue", "high"],
    NT15: ["Service denied by maintenance", c, "push inApp", "immediate", "high"],
  };

  it.each(Object.entries(expected))("%s is %j", (id, row) => {
    const [event, recipient, channels, timing, priority] = row;
    expect(notificationTable).toMatchObject({
      [id]: { event, recipient, channels: channels.split(" "), timing, priority },
    });
  });

  it("it has these rows and no other", () => {
    expect(Object.keys(notificationTable)).toEqual(Object.keys(expected));
  });

  it.each(Object.entries(addedNotifications))(
    "the addition %s reaches the customer, or support [12], by e-mail and says why it is needed",
    (id, row) => {
      const {
        recipient,
        channels,
        reason,
      }: { recipient: string; channels: readonly string[]; reason: string } = row;
      expect(id).toMatch(/^NX\d+$/);
      expect(reason).toMatch(/^\S.{30,}\.$/);
      expect(recipient).toBe(id === "NX14" ? "support" : "customer");
      // The channel that every customer has, and support.
      expect(channels).toContain("email");
    },
  );

  it("the additions leave by these channels, then, and so urgently", () => {
    const told = Object.entries(addedNotifications).map(([id, { channels, timing, priority }]) => [
      id,
      `${channels.join(" ")}, ${timing}, ${priority}`,
    ]);
    expect(Object.fromEntries(told)).toMatchObject({
      NX1: "email, immediate, high",
      NX2: "email, immediate, high",
      NX3: "email, immediate, high",
      NX4: "email, immediate, high",
      NX5: "email, immediate, medium",
      NX6: "email, bySchedule, high",
      NX7: "email, immediate, high",
      NX8: "email, immediate, high",
      NX9: "email push, immediate, high",
      NX10: "email push, bySchedule, high",
      NX11: "email, immediate, high",
      NX12: "email, immediate, high",
      NX13: "email, immediate, high",
    });
  });

  it("every trigger of the diagram leads to a message", () => {
    const used = new Set(Object.values(notificationTable).map((row) => row.trigger));
    expect(
      Object.keys(notificationTriggers).filter((id) => ![...used].some((trigger) => trigger === id)),
    ).toEqual([]);
    expect(Object.keys(notificationTriggers)).toHaveLength(9);
  });

  it("credentials and maintenance reminders are the only messages without an arrow", () => {
    const sent = new Set<string>(arrows.flatMap((row) => row.notifies));
    const silent = Object.keys(expected).filter((id) => !sent.has(id));
    expect(silent.join(" ")).toBe("NT1 NT13 NT14");
  });
});
