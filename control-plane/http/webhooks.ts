import { parseJson } from "@caas/contract/parse-json.ts";
import { sql } from "kysely";
import * as z from "zod";
import type { Db } from "../store/database.ts";
import { requireAccess } from "./access-table.ts";
import { problemOf, problemOfFields, problemOfRefusal, problemResponses, sendProblem } from "./problem.ts";
import type { Refusal } from "./refusal.ts";
import { operationIdOf } from "./route-description.ts";
import { createRunner, type RunMany, type Work } from "./run-work.ts";
import type { Http } from "./server.ts";
import type { VerifyWebhook } from "./webhook-signatures.ts";

// Messages from partners. Verify the bytes, parse, and handle in one transaction together with the message's id: a
// message is handled once, or not at all and then it comes again.

/** A refused message is answered with the refusal's status (409 for a rule), so the sender tries again. */
export type WebhookRoute<Event extends { type: string }> = {
  /** `/webhooks/…`: a public row of the access table; the signature is the proof. */
  url: string;
  /** Names the sender in `received_webhooks`. */
  source: string;
  summary: string;
  verify: VerifyWebhook;
  schema: z.ZodType<Event>;
} & Work<Event, { kind: "done" }>;

const refusals = [
  "badRequest",
  "signatureInvalid",
  "payloadTooLarge",
  "notFound",
  "conflict",
  "ruleRefused",
] as const;

const answerSchema = z.object({ received: z.literal(true), duplicate: z.boolean() });

/** Adds one sender's route; it reads the raw body, which no other route does. */
export function addWebhook<Event extends { type: string }>(
  routing: { server: Http; db: Db },
  route: WebhookRoute<Event>,
): void {
  if (requireAccess(`POST ${route.url}`).kind !== "public") throw new Error(`${route.url} must be public`);
  const receive = createRunner(routing.db, route, (runMany: RunMany<Event, { kind: "done" }>) =>
    oncePerMessage(route.source, runMany),
  );
  routing.server.register(async (scope) => {
    scope.removeContentTypeParser("application/json");
    scope.addContentTypeParser("application/json", { parseAs: "string" }, (_request, body, done) => {
      done(null, body);
    });
    scope.post(
      route.url,
      {
        schema: {
          summary: route.summary,
          operationId: operationIdOf(route.summary),
          tags: ["webhooks"],
          description:
            "Public: the signature over the raw body is the proof. Idempotent by the message's id.",
          body: route.schema,
          response: { 200: answerSchema, ...problemResponses(refusals) },
          security: [],
        },
        config: { refuses: refusals },
        // The signature covers the bytes: they are parsed below, after it has been verified.
        validatorCompiler: () => (body) => ({ value: body }),
      },
      async (request, reply) => {
        const rawBody = typeof request.body === "string" ? request.body : "";
        const verified = route.verify(request.headers, rawBody);
        if (verified.kind === "forged") {
          request.log.warn({ source: route.source, reason: verified.reason }, "a webhook was refused");
          return sendProblem(reply, problemOf("signatureInvalid", verified.reason));
        }
        const parsed = route.schema.safeParse(parseJson(rawBody));
        if (!parsed.success) {
          request.log.warn({ source: route.source, id: verified.id }, "a signed webhook is not understood");
          return sendProblem(reply, problemOfFields(parsed.error.issues.map(fieldOf)));
        }
        const outcome = await receive({ id: verified.id, event: parsed.data });
        if (outcome.kind === "refused") {
          request.log.info(
            { source: route.source, id: verified.id, type: parsed.data.type, detail: outcome.detail },
            "a webhook was refused for now",
          );
          return sendProblem(reply, problemOfRefusal(outcome));
        }
        return reply.code(200).send({ received: true, duplicate: outcome.kind === "duplicate" });
      },
    );
  });
}

/**
 * Each message once. A second delivery waits for the first when another transaction has it, and gets its outcome when
 * both are in this one.
 */
function oncePerMessage<Event extends { type: string }>(
  source: string,
  runMany: RunMany<Event, { kind: "done" }>,
): RunMany<{ id: string; event: Event }, { kind: "done" } | { kind: "duplicate" }> {
  return async (tx, received) => {
    const { rows } = await sql<{ id: string }>`
      insert into received_webhooks (source, id, type)
      select ${source}, id, type
      from unnest(${received.map(({ id }) => id)}::text[], ${received.map(({ event }) => event.type)}::text[])
        as given (id, type)
      on conflict (source, id) do nothing returning id`.execute(tx);
    const isNew = new Set(rows.map(({ id }) => id));
    const first = received.filter(({ id }) => isNew.delete(id));
    const events = first.map(({ event }) => event);
    const outcomes = events.length === 0 ? [] : await runMany(tx, events);
    const refused = new Map<string, Refusal>();
    for (const [index, { id }] of first.entries()) {
      const outcome = outcomes[index];
      if (outcome?.kind === "refused") refused.set(id, outcome);
    }
    // A refused message counts as not received: the sender tries again.
    if (refused.size > 0)
      await tx
        .deleteFrom("received_webhooks")
        .where("source", "=", source)
        .where("id", "in", [...refused.keys()])
        .execute();
    const done = new Set(first);
    return received.map((one) => refused.get(one.id) ?? { kind: done.has(one) ? "done" : "duplicate" });
  };
}

function fieldOf({ path, message }: z.core.$ZodIssue) {
  return { field: ["body", ...path.map(String)].join("."), message };
}
