// What happens to an order in the factory, in this order.

export const milestones = [
  "started",
  "vinAssigned",
  "body",
  "paint",
  "assembly",
  "qualityCheck",
  "completed",
] as const;
export type Milestone = (typeof milestones)[number];

type Step = {
  event: "order.manufacturing_started" | "order.vin_assigned" | "order.progressed" | "order.completed";
  progressPercent: number;
  status: "inManufacturing" | "completed";
};

export const steps: Readonly<Record<Milestone, Step>> = {
  started: { event: "order.manufacturing_started", progressPercent: 0, status: "inManufacturing" },
  vinAssigned: { event: "order.vin_assigned", progressPercent: 5, status: "inManufacturing" },
  body: { event: "order.progressed", progressPercent: 30, status: "inManufacturing" },
  paint: { event: "order.progressed", progressPercent: 55, status: "inManufacturing" },
  assembly: { event: "order.progressed", progressPercent: 80, status: "inManufacturing" },
  qualityCheck: { event: "order.progressed", progressPercent: 95, status: "inManufacturing" },
  completed: { event: "order.completed", progressPercent: 100, status: "completed" },
};

/** The milestone that comes after the `reached` first ones, or `null` when all are reached. */
export function nextMilestone(reached: number): Milestone | null {
  return milestones[reached] ?? null;
}
