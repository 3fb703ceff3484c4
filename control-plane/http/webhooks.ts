import { createHash } from "node:crypto";
import { cutText, makeStorable, makeTextStorable } from "@caas/contract/outside-text.ts";
import { parseJson } from "@caas/contract/parse-json.ts";
import * as z from "zod";
import type { Db } from "../store/database.ts";
import { groupCommit } from "../store/group-commit.ts";
import { type ReceivedMessage, storeMessages } from "../store/received-webhooks.ts";
import { requireAccess } from "./access-table.ts";
import { problemOf, problemResponses, sendProblem } from "./problem.ts";
import { operationIdOf } from "./route-description.ts";
import type { Http } from "./server.ts";
import { type Message, messageTries, type Sender } from "./webhook-messages.ts";
import type { VerifyWebhook } from "./webhook-signatures.ts";

// Messages from partners. A genuine one is stored and answered 200, whatever it is about: a sender that is refused
// repeats for days and in the end switches us off. What it means is decided afterwards, by a job (ADR 44).

export type WebhookRoute<Event> = {
  /** `/webhooks/…`: a public row of the access table; the signature is the proof. */
  url: string;
  summary: string;
  verify: VerifyWebhook;
  /** What is expected, for the description of the interface. */
  schema: z.ZodType;
  sender: Sender<Event>;
  /** Says of messages that come together which need judging at all; the others are only stored. By default all do. */
  areNews?(events: readonly Event[]): Promise<readonly boolean[]>;
  /** How long a batch waits for further messages. Real time. */
  lingerMs?: number;
};

const refusals = ["signatureInvalid", "payloadTooLarge", "unsupportedMediaType"] as const;

const answerSchema = z.object({
  received: z.literal(true),
  /** It was here before. */
  duplicate: z.boolean(),
});

/** Longer than any sender's; what is longer still is known by its hash. */
const longestId = 200;

/** Adds one sender's route; it reads the raw body, which no other route does. */
export function addWebhook<Event>(routing: { server: Http; db: Db }, route: WebhookRoute<Event>): void {
  if (requireAccess(`POST ${route.url}`).kind !== "public") throw new Error(`${route.url} must be public`);
  const { sender } = route;
  const store = groupCommit(
    async (messages: readonly ReceivedMessage<Message<Event>>[]) => {
      const isNew = new Set(
        await storeMessages(
          routing.db,
          sender.source,
          { type: sender.job, maxAttempts: messageTries },
          await leaveOutOld(messages),
        ),
      );
      // Of those that came together with one id, the first is the new one.
      return messages.map(({ id }) => isNew.delete(id));
    },
    { lingerMs: route.lingerMs ?? 0 },
  );

  async function leaveOutOld(messages: readonly ReceivedMessage<Message<Event>>[]) {
    if (route.areNews === undefined) return messages;
    const events = messages.flatMap(({ work }) => (work?.heard.kind === "event" ? [work.heard.event] : []));
    const news = await route.areNews(events);
    const old = new Set(events.filter((_event, index) => news[index] === false));
    return messages.map((message) =>
      message.work?.heard.kind === "event" && old.has(message.work.heard.event)
        ? { ...message, work: null }
        : message,
    );
  }

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
            "Public: the signature over the raw body is the proof. A genuine message is stored and answered 200, whatever it is about, and judged afterwards. Idempotent by the message's id.",
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
          sender.count("forged");
          request.log.warn({ source: sender.source, reason: verified.reason }, "a webhook was refused");
          return sendProblem(reply, problemOf("signatureInvalid", verified.reason));
        }
        const message = readMessage(sender, nameOf(verified.id, rawBody), rawBody);
        const isNew = await store(message.received);
        sender.count(isNew ? "received" : "duplicate");
        if (isNew && message.ignored !== null) {
          sender.countIgnored(message.ignored);
          request.log.warn(
            { source: sender.source, id: message.received.id, reason: message.ignored },
            "a webhook is ignored",
          );
        }
        return reply.code(200).send({ received: true, duplicate: !isNew });
      },
    );
  });
}

function nameOf(id: string | null, rawBody: string): string {
  if (id !== null && id.length <= longestId) return makeTextStorable(id);
  return `sha256:${createHash("sha256")
    .update(id ?? rawBody)
    .digest("base64url")}`;
}

function readMessage<Event>(sender: Sender<Event>, id: string, rawBody: string) {
  const body: unknown = makeStorable(parseJson(rawBody));
  const reading = sender.read(body);
  const { type } = typed.safeParse(body).data ?? { type: "unreadable" };
  const received = { id, type, body: makeTextStorable(rawBody) };
  return reading.kind === "ignored"
    ? { received: { ...received, work: null }, ignored: reading.reason }
    : { received: { ...received, work: { id, type, heard: reading } }, ignored: null };
}

const typed = z.object({ type: z.string().transform((type) => cutText(type, 100)) });
