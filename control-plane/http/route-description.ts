import * as z from "zod";
import type { Access } from "./access-table.ts";
import type { ErrorCode } from "./error-table.ts";

/** What the interface's description says about a route. */
export type RouteDescription = {
  tag: string;
  /** Also names the client's function. */
  summary: string;
  description?: string;
  /** The route's own refusals, beside those of admission, form and Idempotency-Key. */
  refuses?: readonly ErrorCode[];
};

/** What the routes are grouped by. */
export const tags: Readonly<Record<string, string>> = {
  operations: "For load balancers and Prometheus.",
  accounts: "Signing in, employees and passwords.",
  sales: "A sale from its contract to the delivered car.",
  payments: "Reservation, final payment, refunds and the ledger.",
  orders: "The car at the factory.",
  delivery: "Transport, hand-over and pick-up.",
  registration: "Registration with the authority.",
  vehicles: "Cars and their history.",
  linking: "A customer's app and the car.",
  catalogue: "What is on offer.",
  maintenance: "The workshops' word on a car.",
  services: "Paid services: purchase, delivery over the air, end.",
  tasks: "Work that people must do.",
  "fleet link": "Cars' identities and certificates.",
  webhooks: "Messages from partners.",
};

/** In characters; a UUID has 36. */
export const longestKey = 200;

/** The header of a route that is done once per key. */
export const idempotencyKeyHeader = z.looseObject({
  "idempotency-key": z.string().min(1).max(longestKey).meta({
    description:
      "A new one for each intent, such as a UUID. The same key with the same body gets the first answer again; with another body it is refused. It is kept for 30 days.",
    example: "9b2f6c1e-6d2f-4d0e-8f0b-0c6d3f7f0b1a",
  }),
});

/** Every refusal of a route that people use. */
export function listRefusals(
  route: RouteDescription,
  access: Access,
  takes: { body: boolean; key: boolean; params: boolean },
): readonly ErrorCode[] {
  return [
    // Each refuses an unknown field of its query at least.
    "badRequest",
    ...(takes.key ? (["idempotencyKeyMissing", "idempotencyKeyReused"] as const) : []),
    ...(takes.body ? (["payloadTooLarge", "unsupportedMediaType"] as const) : []),
    ...(access.kind === "public" ? [] : (["notSignedIn", "forbidden"] as const)),
    // A browser's cookie is for our own pages.
    ...(takes.body && access.kind !== "public" ? (["crossSite"] as const) : []),
    // Whatever the relation: the id in the path may be of nothing.
    ...(takes.params && access.kind !== "public" ? (["notFound"] as const) : []),
    ...(route.refuses ?? []),
  ];
}

/** In the form of `@fastify/swagger`. */
export function describeRoute(route: RouteDescription, access: Access) {
  return {
    summary: route.summary,
    description: [route.description, describeAccess(access)]
      .filter((text) => text !== undefined)
      .join("\n\n"),
    tags: [route.tag],
    operationId: operationIdOf(route.summary),
    security: access.kind === "public" ? [] : [{ session: [] }],
  };
}

function describeAccess(access: Access): string {
  if (access.kind === "public") return `Public: ${access.why}.`;
  const callers = Object.entries(access.roles).map(([role, relation]) =>
    relation === "any" ? role : `${role} (${relation})`,
  );
  const exempt = access.idempotencyKey?.exempt;
  return `For ${callers.join(", ")}.${exempt === undefined ? "" : ` Needs no Idempotency-Key: ${exempt}.`}`;
}

/** "Pay the reservation" → `payTheReservation`: the name of the client's function. */
export function operationIdOf(summary: string): string {
  const [first = "", ...rest] = summary
    .replaceAll(/[^A-Za-z0-9 ]/g, "")
    .split(" ")
    .filter((word) => word !== "");
  return (
    first.toLowerCase() +
    rest.map((word) => word.charAt(0).toUpperCase() + word.slice(1).toLowerCase()).join("")
  );
}
