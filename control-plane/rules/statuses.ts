// Statuses that no machine moves, and what some of them have in common.

/** What became of a sale. */
export const saleStatuses = ["open", "completed", "reservationLost", "cancelled"] as const;
export type SaleStatus = (typeof saleStatuses)[number];

/** The sale that a car is bound to: a car has at most one of these. */
export const bindingSaleStatuses: readonly SaleStatus[] = ["open", "completed"];

/** Whether a car may hold a service: wanted until its report proves it, ending until its report shows it gone. */
export type EntitlementState = "wanted" | "proved" | "ending" | "ended";

/** The car was seen to hold it, and not yet seen without it. */
export const heldByTheCar: readonly EntitlementState[] = ["proved", "ending"];
