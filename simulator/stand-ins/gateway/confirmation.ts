import * as z from "zod";
import type { PartnerApp } from "../shared/http.ts";
import type { Books, Outcome } from "./books.ts";
import { noSuch } from "./errors.ts";
import type { Intent } from "./objects.ts";
import type { ConfirmIntent } from "./parameters.ts";

// 3-D Secure: the cardholder's bank wants the customer to confirm on a page of its own.

/** Waits for the customer; without one `declineAbsent` is the answer. */
export function askCustomer(
  books: Books,
  intent: Intent,
  request: Pick<ConfirmIntent, "off_session" | "error_on_requires_action" | "return_url">,
  declineAbsent: () => Outcome<Intent>,
): Outcome<Intent> {
  if (request.off_session === true || request.error_on_requires_action === true) return declineAbsent();
  const waiting: Intent = {
    ...intent,
    status: "requires_action",
    next_action: {
      type: "redirect_to_url",
      redirect_to_url: { url: books.confirmUrl(intent.id), return_url: request.return_url ?? null },
    },
  };
  books.intents.put(waiting.id, waiting);
  books.announce("payment_intent.requires_action", waiting.id, waiting, {
    requestId: null,
    idempotencyKey: null,
  });
  return { status: "done", object: waiting };
}

const params = z.object({ id: z.string().max(200) });

/**
 * The bank's page, where the customer says yes or no, and is sent back. It is no part of the gateway's interface: it
 * takes no key, and whoever has the link is the customer.
 */
export function registerConfirmationPage(
  app: PartnerApp,
  books: Books,
  finish: (intent: Intent, outcome: "confirm" | "fail") => Outcome<Intent>,
): void {
  app.get("/confirm/:id", { schema: { params } }, (request, reply) => {
    const intent = books.readIntent(request.params.id);
    if (intent === undefined)
      return reply.code(404).send(noSuch("payment_intent", request.params.id, "id").body);
    return reply.type("text/html").send(pageOf(intent));
  });
  app.post(
    "/confirm/:id/:outcome",
    { schema: { params: params.extend({ outcome: z.enum(["confirm", "fail"]) }) } },
    (request, reply) => {
      const { id, outcome } = request.params;
      const intent = books.readIntent(id);
      if (intent === undefined) return reply.code(404).send(noSuch("payment_intent", id, "id").body);
      const returnUrl = intent.next_action?.redirect_to_url.return_url ?? null;
      const done = finish(intent, outcome);
      if (done.status === "refused") return reply.code(done.answer.status).send(done.answer.body);
      if (returnUrl === null) return { status: done.object.status };
      const back = new URL(returnUrl);
      back.searchParams.set("payment_intent", id);
      return reply.redirect(back.href, 303);
    },
  );
}

function pageOf({ id, amount, currency, status }: Intent): string {
  const button = (outcome: string, text: string) =>
    `<form method="post" enctype="text/plain" action="/confirm/${id}/${outcome}"><button>${text}</button></form>`;
  return `<!doctype html><title>Your bank</title><h1>Confirm ${(amount / 100).toFixed(2)} ${currency.toUpperCase()}</h1>${
    status === "requires_action"
      ? button("confirm", "Confirm") + button("fail", "Refuse")
      : "<p>Nothing is to be confirmed.</p>"
  }`;
}
