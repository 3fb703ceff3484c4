import type { FastifyReply } from "fastify";
import { sql } from "kysely";
import * as z from "zod";
import type { Db, Transaction } from "../store/database.ts";
import { groupCommit } from "../store/group-commit.ts";
import { accessTable } from "./access-table.ts";
import { problemOf, problemOfRefusal, problemResponse, sendProblem } from "./problem.ts";
import type { Refusal } from "./refusal.ts";
import { operationIdOf } from "./routes.ts";
import type { Http } from "./server.ts";
import type { VerifyWebhook } from "./webhook-signatures.ts";

// What partners tell us. Verify the bytes, parse, and handle in one transaction together with the message's id:
// a message is done once, or not at all and then it comes again.

export type WebhookRoute<Event extends { type: string }> = {
  /** `/webhooks/…`: a public row of the access table; the signature is the proof. */
  url: string;
  /** Names the sender in `received_webhooks`. */
  source: string;
  summary: string;
  verify: VerifyWebhook;
  schema: z.ZodType<Event>;
} & (
  | {
      /** A refusal undoes everything and is answered with its status (409 for a rule), so the sender tries again. */
      handle(tx: Transaction, event: Event): Promise<{ kind: "done" } | Refusal>;
    }
  | {
      /** For a sender of many: those that come together share a transaction. A refused one must have changed nothing. */
      handleMany(tx: Transaction, events: readonly Event[]): Promise<readonly ({ kind: "done" } | Refusal)[]>;
    }
);

/** A sender of many has time: what it says is a doorbell, and others ring too. */
const senderPatienceMs = 10;

const answerSchema = z.object({ received: z.literal(true), duplicate: z.boolean() });

/** Adds one sender's route; it reads the raw body, which no other route does. */
export function addWebhook<Event extends { type: string }>(
  routing: { server: Http; db: Db },
  route: WebhookRoute<Event>,
): void {
  if (accessTable[`POST ${route.url}`]?.kind !== "public")
    throw new Error(`no public row for "POST ${route.url}" in http/access-table.ts`);
  const { db } = routing;
  const receive =
    "handleMany" in route
      ? groupCommit(
          (received: readonly Received<Event>[]) =>
            db
              .transaction()
              .execute((tx) =>
                receiveMany(tx, route.source, received, (events) => route.handleMany(tx, events)),
              ),
          { lingerMs: senderPatienceMs },
        )
      : (received: Received<Event>) => handleOnce(db, route, received.id, received.event);
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
          response: { 200: answerSchema, default: problemResponse },
        },
        // The signature covers the bytes: they are parsed below, once they are known to be genuine.
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
          return sendProblem(reply, describeInvalid(parsed.error));
        }
        const outcome = await receive({ id: verified.id, event: parsed.data });
        if (outcome.kind === "refused") {
          request.log.info(
            { source: route.source, id: verified.id, type: parsed.data.type, detail: outcome.detail },
            "a webhook was refused for now",
          );
          return sendProblem(reply, problemOfRefusal(outcome));
        }
        return sendReceived(reply, outcome.kind === "duplicate");
      },
    );
  });
}

type Received<Event> = { id: string; event: Event };

/** Each message once: a second delivery waits for the first, which is in another round or stands before it in this one. */
async function receiveMany<Event extends { type: string }>(
  tx: Transaction,
  source: string,
  received: readonly Received<Event>[],
  handleMany: (events: readonly Event[]) => Promise<readonly ({ kind: "done" } | Refusal)[]>,
): Promise<Outcome[]> {
  const { rows } = await sql<{ id: string }>`
    insert into received_webhooks (source, id, type)
    select ${source}, id, type
    from unnest(${received.map(({ id }) => id)}::text[], ${received.map(({ event }) => event.type)}::text[]) as given (id, type)
    on conflict (source, id) do nothing returning id`.execute(tx);
  const isNew = new Set(rows.map(({ id }) => id));
  const first = received.filter(({ id }) => isNew.delete(id));
  const handled = await handleMany(first.map(({ event }) => event));
  const outcomes = new Map(first.map((one, index) => [one, handled[index]]));
  // What was refused has not been received: the sender tries again.
  const refused = first.filter((one) => outcomes.get(one)?.kind === "refused").map(({ id }) => id);
  if (refused.length > 0)
    await tx
      .deleteFrom("received_webhooks")
      .where("source", "=", source)
      .where("id", "in", refused)
      .execute();
  return received.map((one) => outcomes.get(one) ?? { kind: "duplicate" });
}

type Outcome = { kind: "done" } | { kind: "duplicate" } | Refusal;

async function handleOnce<Event extends { type: string }>(
  db: Db,
  route: {
    source: string;
    handle(tx: Transaction, event: Event): Promise<{ kind: "done" } | Refusal>;
  },
  id: string,
  event: Event,
): Promise<Outcome> {
  try {
    return await db.transaction().execute(async (tx): Promise<Outcome> => {
      // A second delivery waits here for the first; what rolls back has not been received.
      const inserted = await tx
        .insertInto("received_webhooks")
        .values({ source: route.source, id, type: event.type })
        .onConflict((conflict) => conflict.columns(["source", "id"]).doNothing())
        .executeTakeFirst();
      if (inserted.numInsertedOrUpdatedRows !== 1n) return { kind: "duplicate" };
      const handled = await route.handle(tx, event);
      if (handled.kind === "refused") throw new Undo(handled);
      return handled;
    });
  } catch (error) {
    if (error instanceof Undo) return error.refusal;
    throw error;
  }
}

class Undo extends Error {
  readonly refusal: Refusal;
  constructor(refusal: Refusal) {
    super("the transaction is undone");
    this.refusal = refusal;
  }
}

function sendReceived(reply: FastifyReply, duplicate: boolean): FastifyReply {
  return reply.code(200).send({ received: true, duplicate });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function describeInvalid(error: z.ZodError) {
  const errors = error.issues.map((issue) => ({
    field: ["body", ...issue.path.map(String)].join("."),
    message: issue.message,
  }));
  return problemOf("badRequest", errors.map(({ field, message }) => `${field}: ${message}`).join("; "), {
    errors,
  });
}
