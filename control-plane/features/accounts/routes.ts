import * as z from "zod";
import { headersOf } from "../../http/admission.ts";
import { problemOfRefusal, problemResponses, sendProblem } from "../../http/problem.ts";
import { refuse } from "../../http/refusal.ts";
import { addCommand, addQuery, type Routing } from "../../http/routes.ts";

const tag = "accounts";
const roleSchema = z.enum(["admin", "support", "sales", "customer"]);

/** Ten tries per minute, user name and address: enough for a person who mistypes. */
const signInLimit = { max: 10, timeWindow: 60_000 };

// Longer texts are no passwords; hashing them would only cost us time.
const password = z.string().min(1).max(128);

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
      userId: z.string(),
      name: z.string(),
      role: roleSchema,
      dealershipId: z.uuid().nullable(),
      customerId: z.uuid().nullable(),
    }),
    async run(_db, { principal }) {
      const { userId, name, role } = principal;
      const answer =
        principal.kind === "customer"
          ? { userId, name, role, dealershipId: null, customerId: principal.customerId }
          : { userId, name, role, dealershipId: principal.dealershipId, customerId: null };
      return { kind: "done", answer };
    },
  });

  addCommand(routing, {
    url: "/api/me/password",
    tag,
    summary: "Change my password",
    refuses: ["wrongCredentials"],
    description:
      "Ends every session of this account, this one included: sign in again with the new password.",
    body: z.strictObject({ currentPassword: password, newPassword: z.string().min(12).max(128) }),
    status: 200,
    answer: z.object({ changed: z.boolean() }),
    async run(_tx, { request, body }) {
      const outcome = await routing.sessions.changePassword(
        headersOf(request),
        body.currentPassword,
        body.newPassword,
      );
      if (outcome === "wrongCredentials")
        return refuse("wrongCredentials", "the current password is wrong", { field: "body.currentPassword" });
      return { kind: "done", answer: { changed: true } };
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
      config: {
        refuses: signInRefusals,
        rateLimit: {
          ...signInLimit,
          // After the body is parsed, because the user name is part of the key.
          hook: "preHandler",
          keyGenerator: (request) => {
            const body = signInSchema.safeParse(request.body);
            const username = body.success ? body.data.username.trim().toLowerCase() : "";
            return `${request.ip} ${username}`;
          },
        },
      },
      schema: {
        summary: "Sign in",
        description:
          "Public. The token goes into `Authorization: Bearer …`; browsers use the cookie instead. At most 10 tries a minute.",
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
      const body = signInSchema.parse(request.body);
      const outcome = await routing.sessions.signIn(body.username, body.password, headersOf(request));
      if (outcome.kind === "wrongCredentials")
        return sendProblem(
          reply,
          problemOfRefusal(refuse("wrongCredentials", "no account has this user name and password")),
        );
      const { name, role } = outcome.principal;
      return reply
        .header("set-cookie", [...outcome.cookies])
        .send({ token: outcome.token, user: { name, role } });
    },
  );
}
