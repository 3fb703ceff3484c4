import { type ErrorCode, errorTable } from "@caas/control-plane/http/error-table.ts";
import { renderTable } from "./markdown.ts";

/** What a caller can do about each error; a code without a row does not compile. */
const whatToDo: Readonly<Record<ErrorCode, string>> = {
  badRequest: "Fix the fields that `errors` names. An unknown field is an error too.",
  idempotencyKeyMissing:
    "Send an `Idempotency-Key` header of 1 to 200 characters, new for each intent; a UUID will do.",
  idempotencyKeyReused: "Use a new key: this one belongs to another request.",
  notSignedIn: "Sign in at `POST /api/sign-in` and send its token; sessions end after seven days.",
  wrongCredentials: "Check both; the answer is the same whether the user name or the password is wrong.",
  forbidden: "Sign in as a role that `detail` names.",
  notFound: "Check the id. Things of other people are answered like things that do not exist.",
  ruleRefused: "Do first what `detail` says is missing; `rule` and `section` say where that is written.",
  conflict: "Read the current state of the thing that `detail` names, and decide again.",
  wrongCode: "Ask the car for a new code and type the one on its display.",
  unknownChoice: "Choose from the catalogue; `errors` names the field.",
  signatureInvalid: "Compare the secret on both sides, and the sender's clock.",
  tokenInvalid: "Use the token of this very car, with the keys it was first used with.",
  identityRevoked:
    "The car, or the TLS key it shows, was revoked by an administrator: it gets no more certificates. Nothing that the car does changes that.",
  crossSite:
    "Send the token as `Authorization: Bearer …`. The cookie works from pages of this site only: a browser shows that by `Sec-Fetch-Site: same-origin`, or by an `Origin` that is this host.",
  methodNotAllowed: "The `Allow` header names the methods that the address takes.",
  requestTimeout: "Send the whole request within 30 s; a slower one is cut.",
  tooManyRequests: "Wait as long as `detail` says.",
  payloadTooLarge: "Send less: a body holds at most 64 KiB.",
  addressTooLong: "Look at the address: no id of ours is as long as the part of yours.",
  headersTooLarge: "Send fewer or shorter headers, at most 16 KiB together.",
  unsupportedMediaType: "Send `Content-Type: application/json`.",
  databaseUnavailable:
    "Send the same request again, with the same `Idempotency-Key`: it is done once, even if the first try succeeded.",
  internal:
    "Report the request id in `detail` to the platform's operator; sent again with the same key, it is done once.",
};

const kinds = [
  ["refused", "the business says no; the same request may be possible in another state"],
  ["invalid", "the request is wrong and stays wrong"],
  ["transient", "the same request may succeed later; the only kind worth repeating unchanged"],
  ["bug", "a mistake of the platform"],
] as const;

/** Renders docs/errors.md from `control-plane/http/error-table.ts`. */
export function renderErrors(): string {
  const rows = Object.keys(errorTable)
    .filter((code): code is ErrorCode => code in errorTable)
    .map((code) => {
      const { status, kind, title } = errorTable[code];
      return [`\`${code}\``, String(status), kind, title, whatToDo[code]];
    });
  return `${[
    "# Errors of the REST interface",
    "Printed by `npm run docs` from `control-plane/http/error-table.ts`; do not edit by hand, a test fails when it is stale.",
    "An error is an [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) document (`application/problem+json`): `type` is `urn:caas:error:` and the code, `title`, `status` and `code` are those below, `detail` says what is wrong with this request, `errors` lists the fields, `rule` and `section` name the row of [the rules](rules.md) that refused. A request that was refused changed nothing.",
    renderTable(["code", "status", "kind", "title", "what to do"], rows),
    "## Kinds",
    renderTable(
      ["kind", "meaning"],
      kinds.map(([kind, meaning]) => [kind, meaning]),
    ),
  ].join("\n\n")}\n`;
}
