import * as z from "zod";
import { callerOf, headersOf } from "../../http/admission.ts";
import { longestPassword, shortestPassword } from "../../http/password-policy.ts";
import { problemResponses, sendRefusal } from "../../http/problem.ts";
import { addCommand, addQuery, type Routing } from "../../http/routes.ts";
import { mostTries } from "../../http/try-limits.ts";

const tag = "accounts";
const roleSchema = z.enum(["admin", "support", "sales", "customer"]);

const password = z.string().min(1).max(longestPassword);

const signInSchema = z.strictObject({ username: z.string().min(1).max(320), password });

export function accountRoutes(routing: Routing): void {
  addSignIn(routing);

  addCommand(routing, {
    url: "/api/sign-out",
    tag,
    summary: "Sign out",
    description: "Ends the session of the token that is sent.",
    body: z.strictObject({}),
    status: 200,
    answer: z.object({ signedOut: z.boolean() }),
    async run(_tx, { request }) {
      await routing.sessions.signOut(headersOf(request));
      return { kind: "done", answer: { signedOut: true } };
    },
  });

  addQuery(routing, {
    url: "/api/me",
    tag,
    summary: "Who am I",
    answer: z.object({
      id: z.string(),
      name: z.string(),
      role: roleSchema,
      dealershipId: z.uuid().nullable(),
      customerId: z.uuid().nullable(),
    }),
    async run(_db, { principal }) {
      const { userId: id, name, role } = principal;
      const answer =
        principal.kind === "customer"
          ? { id, name, role, dealershipId: null, customerId: principal.customerId }
          : { id, name, role, dealershipId: principal.dealershipId, customerId: null };
      return { kind: "done", answer };
    },
  });

  addCommand(routing, {
    url: "/api/me/password",
    tag,
    summary: "Change my password",
    refuses: ["wrongCredentials", "tooManyRequests"],
    description:
      "Ends every session of this account, this one included: sign in again with the new password. A password that is " +
      "common, a pattern, or made of the person's name is refused. Tries count as those of signing in do.",
    body: z.strictObject({
      currentPassword: password,
      newPassword: z.string().min(shortestPassword).max(longestPassword),
    }),
    status: 200,
    answer: z.object({ changed: z.boolean() }),
    async run(_tx, { principal, request, body }) {
      const outcome = await routing.sessions.changePassword({
        user: principal,
        current: body.currentPassword,
        next: body.newPassword,
        from: callerOf(request),
      });
      return outcome.kind === "refused" ? outcome : { kind: "done", answer: { changed: true } };
    },
  });
}

const signInRefusals = [
  "badRequest",
  "wrongCredentials",
  "tooManyRequests",
  "payloadTooLarge",
  "unsupportedMediaType",
] as const;

/** Registered by itself: nobody is signed in yet, so there is no principal for `addCommand`. */
function addSignIn(routing: Routing): void {
  routing.server.post(
    "/api/sign-in",
    {
      config: { refuses: signInRefusals },
      schema: {
        summary: "Sign in",
        description: `Public. The token goes into \`Authorization: Bearer …\`; browsers use the cookie instead. In a minute at most ${mostTries.account} tries for one account, and at most ${mostTries.address} that fail from one address.`,
        tags: [tag],
        security: [],
        operationId: "signIn",
        body: signInSchema,
        response: {
          200: z.object({ token: z.string(), user: z.object({ name: z.string(), role: roleSchema }) }),
          ...problemResponses(signInRefusals),
        },
      },
    },
    async (request, reply) => {
      const outcome = await routing.sessions.signIn({
        ...signInSchema.parse(request.body),
        from: callerOf(request),
      });
      if (outcome.kind === "refused") return sendRefusal(reply, outcome);
      const { name, role } = outcome.principal;
      return reply
        .header("set-cookie", [...outcome.cookies])
        .send({ token: outcome.token, user: { name, role } });
    },
  );
}
