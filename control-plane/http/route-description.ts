import type { Access } from "./access-table.ts";

/** What the interface's description says about a route. */
export type RouteDescription = {
  tag: string;
  /** Also names the client's function. */
  summary: string;
  description?: string;
};

/** In the form of `@fastify/swagger`. */
export function describeRoute(route: RouteDescription, access: Access) {
  return {
    summary: route.summary,
    description: [route.description, describeAccess(access)]
      .filter((text) => text !== undefined)
      .join("\n\n"),
    tags: [route.tag],
    operationId: operationIdOf(route.summary),
    ...(access.kind === "public" ? {} : { security: [{ session: [] }] }),
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
