import type { Actor } from "../lifecycle/actor.ts";

/** The caller as their session says, never as the request claims. */
export type Principal =
  | { kind: "staff"; userId: string; name: string; role: "admin" | "support"; dealershipId: null }
  | { kind: "staff"; userId: string; name: string; role: "sales"; dealershipId: string }
  | { kind: "customer"; userId: string; name: string; role: "customer"; customerId: string };

export type Role = Principal["role"];

export function actorOf(principal: Principal): Actor {
  return principal.kind === "staff"
    ? { kind: "staff", id: principal.userId }
    : { kind: "customer", id: principal.customerId };
}
