/**
 * Every error a caller can get. `refused`: the business says no; `invalid`: the request is wrong; `transient`:
 * the same request may succeed later; `bug`: ours to fix. Only `transient` is worth repeating unchanged.
 */
export const errorTable = {
  badRequest: { status: 400, kind: "invalid", title: "The request is malformed" },
  idempotencyKeyMissing: {
    status: 400,
    kind: "invalid",
    title: "The Idempotency-Key header is missing, empty or too long",
  },
  idempotencyKeyReused: {
    status: 422,
    kind: "invalid",
    title: "The Idempotency-Key was used with another request",
  },
  notSignedIn: { status: 401, kind: "invalid", title: "You are not signed in" },
  wrongCredentials: { status: 401, kind: "invalid", title: "User name or password is wrong" },
  forbidden: { status: 403, kind: "refused", title: "Your role may not do this" },
  notFound: { status: 404, kind: "invalid", title: "There is no such thing, or it is not yours" },
  ruleRefused: { status: 409, kind: "refused", title: "The business rules refuse this now" },
  conflict: { status: 409, kind: "refused", title: "The request conflicts with the current state" },
  wrongCode: { status: 422, kind: "refused", title: "The code is wrong or no longer valid" },
  unknownChoice: { status: 422, kind: "invalid", title: "A chosen item does not exist" },
  signatureInvalid: { status: 401, kind: "invalid", title: "The signature does not match" },
  tokenInvalid: { status: 403, kind: "refused", title: "The enrolment token is not valid" },
  identityRevoked: { status: 403, kind: "refused", title: "The car's identity was revoked" },
  crossSite: { status: 403, kind: "refused", title: "The request comes from a page of another site" },
  methodNotAllowed: { status: 405, kind: "invalid", title: "This address does not take this method" },
  requestTimeout: { status: 408, kind: "transient", title: "The request took too long to arrive" },
  tooManyRequests: { status: 429, kind: "transient", title: "Too many requests" },
  payloadTooLarge: { status: 413, kind: "invalid", title: "The request is too large" },
  addressTooLong: { status: 414, kind: "invalid", title: "A part of the address is too long" },
  headersTooLarge: { status: 431, kind: "invalid", title: "The headers are too large" },
  unsupportedMediaType: { status: 415, kind: "invalid", title: "Only application/json is understood" },
  databaseUnavailable: { status: 503, kind: "transient", title: "The database cannot be reached" },
  internal: { status: 500, kind: "bug", title: "Something went wrong on our side" },
} as const satisfies Record<
  string,
  { status: number; kind: "refused" | "invalid" | "transient" | "bug"; title: string }
>;

export type ErrorCode = keyof typeof errorTable;
