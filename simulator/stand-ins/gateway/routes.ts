import type { FastifyRequest } from "fastify";
import * as z from "zod";
import { type Answer, type PartnerApp, send } from "../shared/http.ts";
import type { Books, Cause, Outcome } from "./books.ts";
import { noSuch } from "./errors.ts";
import { expandList, expandObject, pageOf, searchIntents } from "./listing.ts";
import type { Charge, Customer, Dispute, Intent, Refund } from "./objects.ts";
import * as parameters from "./parameters.ts";
import { cancelPayment, capturePayment, confirmPayment, createPayment } from "./payments.ts";
import { refundCharge } from "./refunds.ts";

const idParams = z.object({ id: z.string().max(200) });

/** Does a writing call once for each idempotency key. */
export type Once = (request: FastifyRequest, work: (cause: Cause) => Answer) => Answer;

function answerWith(
  books: Books,
  outcome: Outcome<Intent | Charge | Refund | Dispute>,
  expand: readonly string[] | undefined,
): Answer {
  if (outcome.status === "refused") return outcome.answer;
  const expanded = expandObject(books, outcome.object, expand);
  return expanded.status === "refused" ? expanded.answer : { status: 200, body: expanded.object };
}

export function registerReads(api: PartnerApp, books: Books): void {
  const retrieve = { params: idParams, querystring: parameters.retrieve };

  api.get("/v1/customers/:id", { schema: retrieve }, (request, reply) => {
    const customer = books.customers.get(request.params.id);
    return send(
      reply,
      customer === undefined ? noSuch("customer", request.params.id, "id") : { status: 200, body: customer },
    );
  });

  api.get("/v1/payment_intents/:id", { schema: retrieve }, (request, reply) => {
    const intent = books.readIntent(request.params.id);
    if (intent === undefined) return send(reply, noSuch("payment_intent", request.params.id, "intent"));
    return send(reply, answerWith(books, { status: "done", object: intent }, request.query.expand));
  });

  api.get("/v1/charges/:id", { schema: retrieve }, (request, reply) => {
    const charge = books.charges.get(request.params.id);
    if (charge === undefined) return send(reply, noSuch("charge", request.params.id, "id"));
    return send(reply, answerWith(books, { status: "done", object: charge }, request.query.expand));
  });

  api.get("/v1/refunds/:id", { schema: retrieve }, (request, reply) => {
    const refund = books.refunds.get(request.params.id);
    if (refund === undefined) return send(reply, noSuch("refund", request.params.id, "id"));
    return send(reply, answerWith(books, { status: "done", object: refund }, request.query.expand));
  });

  api.get("/v1/payment_intents", { schema: { querystring: parameters.listIntents } }, (request, reply) => {
    const { customer, expand } = request.query;
    const found = customer === undefined ? books.intents.list() : books.intents.find("customer", customer);
    const expandAll = expandList(books, expand);
    return send(reply, pageOf(books.settleHolds(found), "/v1/payment_intents", request.query, expandAll));
  });

  api.get(
    "/v1/payment_intents/search",
    { schema: { querystring: parameters.searchIntents } },
    (request, reply) =>
      send(reply, searchIntents(books, request.query, expandList(books, request.query.expand))),
  );

  api.get("/v1/disputes/:id", { schema: retrieve }, (request, reply) => {
    const dispute = books.disputes.get(request.params.id);
    if (dispute === undefined) return send(reply, noSuch("dispute", request.params.id, "id"));
    return send(reply, answerWith(books, { status: "done", object: dispute }, request.query.expand));
  });

  api.get("/v1/disputes", { schema: { querystring: parameters.listDisputes } }, (request, reply) => {
    const { charge, payment_intent: intent, expand } = request.query;
    const candidates =
      intent !== undefined
        ? books.disputes.find("intent", intent)
        : charge !== undefined
          ? books.disputes.find("charge", charge)
          : books.disputes.list();
    const found = candidates.filter((dispute) => charge === undefined || dispute.charge === charge);
    return send(reply, pageOf(found, "/v1/disputes", request.query, expandList(books, expand)));
  });

  api.get("/v1/refunds", { schema: { querystring: parameters.listRefunds } }, (request, reply) => {
    const { charge, payment_intent: intent, expand } = request.query;
    const candidates =
      charge !== undefined
        ? books.refunds.find("charge", charge)
        : intent !== undefined
          ? books.refunds.find("intent", intent)
          : books.refunds.list();
    const found = candidates.filter((refund) => intent === undefined || refund.payment_intent === intent);
    return send(reply, pageOf(found, "/v1/refunds", request.query, expandList(books, expand)));
  });
}

export function registerWrites(api: PartnerApp, books: Books, once: Once): void {
  api.post("/v1/customers", { schema: { body: parameters.createCustomer } }, (request, reply) => {
    const answer = once(request, () => {
      const { address, description, email, metadata, name, phone } = request.body;
      const customer: Customer = {
        id: books.newId("cus"),
        object: "customer",
        address: address ?? null,
        balance: 0,
        created: books.nowSeconds(),
        currency: null,
        description: description ?? null,
        email: email ?? null,
        livemode: false,
        metadata: metadata ?? {},
        name: name ?? null,
        phone: phone ?? null,
      };
      books.customers.put(customer.id, customer);
      return { status: 200, body: customer };
    });
    return send(reply, answer);
  });

  api.post("/v1/payment_intents", { schema: { body: parameters.createIntent } }, (request, reply) => {
    const answer = once(request, (cause) =>
      answerWith(books, createPayment(books, request.body, cause), request.body.expand),
    );
    return send(reply, answer);
  });

  const onIntent = (
    request: FastifyRequest & { params: { id: string } },
    expand: readonly string[] | undefined,
    work: (intent: Intent, cause: Cause) => Outcome<Intent>,
  ) =>
    once(request, (cause) => {
      const intent = books.readIntent(request.params.id);
      if (intent === undefined) return noSuch("payment_intent", request.params.id, "intent");
      return answerWith(books, work(intent, cause), expand);
    });

  api.post(
    "/v1/payment_intents/:id/confirm",
    { schema: { params: idParams, body: parameters.confirmIntent } },
    (request, reply) => {
      const { body } = request;
      return send(
        reply,
        onIntent(request, body.expand, (intent, cause) => confirmPayment(books, intent, body, cause)),
      );
    },
  );

  api.post(
    "/v1/payment_intents/:id/capture",
    { schema: { params: idParams, body: parameters.captureIntent } },
    (request, reply) => {
      const { body } = request;
      return send(
        reply,
        onIntent(request, body.expand, (intent, cause) => capturePayment(books, intent, body, cause)),
      );
    },
  );

  api.post(
    "/v1/payment_intents/:id/cancel",
    { schema: { params: idParams, body: parameters.cancelIntent } },
    (request, reply) => {
      const { cancellation_reason: reason, expand } = request.body;
      return send(
        reply,
        onIntent(request, expand, (intent, cause) => cancelPayment(books, intent, reason ?? null, cause)),
      );
    },
  );

  api.post("/v1/refunds", { schema: { body: parameters.createRefund } }, (request, reply) => {
    const answer = once(request, (cause) =>
      answerWith(books, refundCharge(books, request.body, cause), request.body.expand),
    );
    return send(reply, answer);
  });
}
