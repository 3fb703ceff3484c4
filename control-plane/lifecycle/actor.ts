/** The person or system that did a step. */
export type Actor =
  | { kind: "system" }
  | { kind: "staff"; id: string }
  | { kind: "customer"; id: string }
  | { kind: "partner"; id: "factory" | "paymentGateway" | "authority" | "transport" | "vss" }
  | { kind: "vehicle"; id: string };

export const system: Actor = { kind: "system" };

/** Neither staff nor a customer: a system, or a partner as a whole. */
export function isAutomaticActor(actor: Actor): boolean {
  return actor.kind !== "staff" && actor.kind !== "customer";
}

export function actorId(actor: Actor): string | null {
  return actor.kind === "system" ? null : actor.id;
}
