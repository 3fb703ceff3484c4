import type { Role } from "./principal.ts";

/**
 * How a role must be related to the thing in the path: `own`, the customer it belongs to (for a vehicle, the
 * current owner); `dealership`, sold by the employee's dealership; `any`, whatever it is. A route whose path
 * names nothing takes `any`.
 */
export type Relation = "any" | "own" | "dealership";

export type Access =
  | { kind: "public"; why: string }
  | { kind: "roles"; roles: Partial<Record<Role, Relation>>; idempotencyKey?: { exempt: string } };

const staffOfSale = { admin: "any", sales: "dealership" } as const;
const everyoneRelated = { admin: "any", support: "any", sales: "dealership", customer: "own" } as const;

/** Default-deny: a route without a row here stops the start. */
export const accessTable: Readonly<Record<string, Access>> = {
  "GET /": { kind: "public", why: "says what this is, and links on" },
  "GET /health": { kind: "public", why: "load balancers ask it" },
  "GET /ready": { kind: "public", why: "load balancers ask it" },
  "GET /metrics": {
    kind: "public",
    why: "Prometheus scrapes it; it holds counts only; bound to loopback by default",
  },
  "GET /openapi.json": { kind: "public", why: "the interface's description" },
  "POST /api/sign-in": { kind: "public", why: "nobody is signed in yet; repeating it changes nothing" },
  "POST /api/enrolments": {
    kind: "public",
    why: "the one-time token and two signatures are the proof; it is idempotent by them",
  },
  "POST /api/certificate-renewals": {
    kind: "public",
    why: "the signatures of the car's two keys are the proof, and its certificate may have expired; it is idempotent by what they sign",
  },
  "POST /webhooks/factory": { kind: "public", why: "signed by the factory; idempotent by webhook-id" },
  "POST /webhooks/payments": { kind: "public", why: "signed by the payment gateway; idempotent by event id" },
  "POST /webhooks/transport": { kind: "public", why: "signed by the carrier; idempotent by webhook-id" },

  "POST /api/sign-out": {
    kind: "roles",
    roles: { admin: "any", support: "any", sales: "any", customer: "any" },
    idempotencyKey: { exempt: "ends a session; ending it twice is the same" },
  },
  "GET /api/me": { kind: "roles", roles: { admin: "any", support: "any", sales: "any", customer: "any" } },
  "POST /api/me/password": {
    kind: "roles",
    roles: { admin: "any", support: "any", sales: "any", customer: "any" },
    idempotencyKey: { exempt: "the old password is the guard, and no password may be stored with an answer" },
  },

  "GET /api/plans": { kind: "roles", roles: { admin: "any", support: "any", sales: "any", customer: "any" } },
  "POST /api/sales": { kind: "roles", roles: { sales: "any" } },
  "GET /api/expedientes": {
    kind: "roles",
    roles: { admin: "any", support: "any", sales: "any", customer: "any" },
  },
  "GET /api/expedientes/:expedienteId": { kind: "roles", roles: everyoneRelated },
  "POST /api/expedientes/:expedienteId/contact": {
    kind: "roles",
    roles: { ...staffOfSale, support: "any" },
  },
  "GET /api/expedientes/:expedienteId/steps": { kind: "roles", roles: everyoneRelated },
  "GET /api/expedientes/:expedienteId/notifications": { kind: "roles", roles: everyoneRelated },
  "POST /api/expedientes/:expedienteId/reservation-payment": {
    kind: "roles",
    roles: { sales: "dealership", customer: "own" },
  },
  "POST /api/expedientes/:expedienteId/final-payment": {
    kind: "roles",
    roles: { sales: "dealership", customer: "own" },
  },
  "POST /api/expedientes/:expedienteId/transport": { kind: "roles", roles: staffOfSale },
  "POST /api/expedientes/:expedienteId/return": { kind: "roles", roles: staffOfSale },
  "POST /api/expedientes/:expedienteId/pick-up": { kind: "roles", roles: staffOfSale },
  "POST /api/expedientes/:expedienteId/registration/retry": { kind: "roles", roles: staffOfSale },
  "POST /api/orders/:orderId/retry": { kind: "roles", roles: staffOfSale },
  "GET /api/orders/:orderId": { kind: "roles", roles: { admin: "any", support: "any", sales: "dealership" } },
  "GET /api/payments/:paymentId": { kind: "roles", roles: everyoneRelated },
  "GET /api/activations/:activationId/payment": { kind: "roles", roles: everyoneRelated },
  "POST /api/payments/:paymentId/second-look": { kind: "roles", roles: staffOfSale },
  "POST /api/payments/:paymentId/refunds": { kind: "roles", roles: { admin: "any", support: "any" } },
  "GET /api/payments/:paymentId/ledger": {
    kind: "roles",
    roles: { admin: "any", support: "any", sales: "dealership" },
  },

  "GET /api/vehicles": {
    kind: "roles",
    roles: { admin: "any", support: "any", sales: "any", customer: "any" },
  },
  "GET /api/vehicles/:vehicleId": { kind: "roles", roles: everyoneRelated },
  "POST /api/vehicles/:vehicleId/link-codes": { kind: "roles", roles: { customer: "own" } },
  "POST /api/vehicles/:vehicleId/link": { kind: "roles", roles: { customer: "own" } },
  "GET /api/vehicles/:vehicleId/catalog": { kind: "roles", roles: { support: "any", customer: "own" } },
  "GET /api/vehicles/:vehicleId/maintenance": { kind: "roles", roles: everyoneRelated },
  "POST /api/vehicles/:vehicleId/revocation": { kind: "roles", roles: { admin: "any" } },
  "POST /api/vehicles/:vehicleId/enrolment-packages": {
    kind: "roles",
    roles: { admin: "any" },
    idempotencyKey: {
      exempt:
        "no token may be stored with an answer; another package replaces the one before, and only one is used",
    },
  },
  "GET /api/vehicles/:vehicleId/certificates": { kind: "roles", roles: { admin: "any", support: "any" } },
  "GET /api/vehicles/:vehicleId/manifest": { kind: "roles", roles: everyoneRelated },
  "POST /api/vehicles/:vehicleId/activations": { kind: "roles", roles: { customer: "own" } },
  "GET /api/vehicles/:vehicleId/activations": { kind: "roles", roles: everyoneRelated },
  "GET /api/activations/:activationId": { kind: "roles", roles: everyoneRelated },
  "POST /api/activations/:activationId/cancellation": { kind: "roles", roles: { customer: "own" } },
  "GET /api/activations/:activationId/explanation": { kind: "roles", roles: everyoneRelated },
  "GET /api/invariants": { kind: "roles", roles: { admin: "any", support: "any" } },
  "GET /api/activations/:activationId/steps": { kind: "roles", roles: everyoneRelated },

  "GET /api/catalog/services": {
    kind: "roles",
    roles: { admin: "any", support: "any", sales: "any", customer: "any" },
  },
  "GET /api/tasks": { kind: "roles", roles: { admin: "any", support: "any", sales: "any" } },
  "POST /api/tasks/:taskId/resolution": {
    kind: "roles",
    roles: { admin: "any", support: "any", sales: "dealership" },
  },
};

/** @throws Error for a route that the table does not name */
export function requireAccess(route: string): Access {
  const access = accessTable[route];
  if (access === undefined) throw new Error(`no row for "${route}" in http/access-table.ts`);
  return access;
}
