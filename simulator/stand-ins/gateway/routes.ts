import type { FastifyRequest } from "fastify";
import * as z from "zod";
import { type Answer, type PartnerApp, send } from "../shared/http.ts";
import { noSuch } from "./errors.ts";
import type { Cause, Ledger, Outcome } from "./ledger.ts";
import { expandList, expandObject, pageOf, searchIntents } from "./listing.ts";
import type { Charge, Customer, Dispute, Intent, Refund } from "./objects.ts";
import * as parameters from "./parameters.ts";
import { cancelPayment, capturePayment, confirmPayment, createPayment } from "./payments.ts";
import { refundCharge } from "./refunds.ts";

const idParams = z.object({ id: z.string().max(200) });

/** Does a writing call once for each idempotency key. */
export type Once = (request: FastifyRequest, work: (cause: Cause) => Answer) => Answer;

function answerWith(
  ledger: Ledger,
  outcome: Outcome<Intent | Charge | Refund | Dispute>,
  expand: readonly string[] | undefined,
): Answer {
  if (outcome.status === "refused") return outcome.answer;
  const expanded = expandObject(ledger, outcome.object, expand);
  return expanded.status === "refused" ? expanded.answer : { status: 200, body: expanded.object };
}

export function registerReads(api: PartnerApp, ledger: Ledger): void {
  const retrieve = { params: idParams, querystring: parameters.retrieve };

  api.get("/v1/customers/:id", { schema: retrieve }, (request, reply) => {
    const customer = ledger.customers.get(request.params.id);
    return send(
      reply,
      customer === undefined ? noSuch("customer", request.params.id, "id") : { status: 200, body: customer },
    );
  });

  api.get("/v1/payment_intents/:id", { schema: retrieve }, (request, reply) => {
    const intent = ledger.readIntent(request.params.id);
    if (intent === undefined) return send(reply, noSuch("payment_intent", request.params.id, "intent"));
    return send(reply, answerWith(ledger, { status: "done", object: intent }, request.query.expand));
  });

  api.get("/v1/charges/:id", { schema: retrieve }, (request, reply) => {
    const charge = ledger.charges.get(request.params.id);
    if (charge === undefined) return send(reply, noSuch("charge", request.params.id, "id"));
    return send(reply, answerWith(ledger, { status: "done", object: charge }, request.query.expand));
  });

  api.get("/v1/refunds/:id", { schema: retrieve }, (request, reply) => {
    const refund = ledger.refunds.get(request.params.id);
    if (refund === undefined) return send(reply, noSuch("refund", request.params.id, "id"));
    return send(reply, answerWith(ledger, { status: "done", object: refund }, request.query.expand));
  });

  api.get("/v1/payment_intents", { schema: { querystring: parameters.listIntents } }, (request, reply) => {
    const { customer, expand } = request.query;
    const found = customer === undefined ? ledger.intents.list() : ledger.intents.find("customer", customer);
    const expandAll = expandList(ledger, expand);
    return send(reply, pageOf(ledger.settleHolds(found), "/v1/payment_intents", request.query, expandAll));
  });

  api.get(
    "/v1/payment_intents/search",
    { schema: { querystring: parameters.searchIntents } },
    (request, reply) =>
      send(reply, searchIntents(ledger, request.query, expandList(ledger, request.query.expand))),
  );

  api.get("/v1/disputes/:id", { schema: retrieve }, (request, reply) => {
    const dispute = ledger.disputes.get(request.params.id);
    if (dispute === undefined) return send(reply, noSuch("dispute", request.params.id, "id"));
    return send(reply, answerWith(ledger, { status: "done", object: dispute }, request.query.expand));
  });

  api.get("/v1/disputes", { schema: { querystring: parameters.listDisputes } }, (request, reply) => {
    const { charge, payment_intent: intent, expand } = request.query;
    const candidates =
      intent !== undefined
        ? ledger.disputes.find("intent", intent)
        : charge !== undefined
          ? ledger.disputes.find("charge", charge)
          : ledger.disputes.list();
    const found = candidates.filter((dispute) => charge === undefined || dispute.charge === charge);
    return send(reply, pageOf(found, "/v1/disputes", request.query, expandList(ledger, expand)));
  });

  api.get("/v1/refunds", { schema: { querystring: parameters.listRefunds } }, (request, reply) => {
    const { charge, payment_intent: intent, expand } = request.query;
    const candidates =
      charge !== undefined
        ? ledger.refunds.find("charge", charge)
        : intent !== undefined
          ? ledger.refunds.find("intent", intent)
          : ledger.refunds.list();
    const found = candidates.filter((refund) => intent === undefined || refund.payment_intent === intent);
    return send(reply, pageOf(found, "/v1/refunds", request.query, expandList(ledger, expand)));
  });
}

export function registerWrites(api: PartnerApp, ledger: Ledger, once: Once): void {
  api.post("/v1/customers", { schema: { body: parameters.createCustomer } }, (request, reply) => {
    const answer = once(request, () => {
      const { address, description, email, metadata, name, phone } = request.body;
      const customer: Customer = {
        id: ledger.newId("cus"),
        object: "customer",
        address: address ?? null,
        balance: 0,
        created: ledger.nowSeconds(),
        currency: null,
        description: description ?? null,
        email: email ?? null,
        livemode: false,
        metadata: metadata ?? {},
        name: name ?? null,
        phone: phone ?? null,
      };
      ledger.customers.put(customer.id, customer);
      return { status: 200, body: customer };
    });
    return send(reply, answer);
  });

  api.post("/v1/payment_intents", { schema: { body: parameters.createIntent } }, (request, reply) => {
    const answer = once(request, (cause) =>
      answerWith(ledger, createPayment(ledger, request.body, cause), request.body.expand),
    );
    return send(reply, answer);
  });

  const onIntent = (
    request: FastifyRequest & { params: { id: string } },
    expand: readonly string[] | undefined,
    work: (intent: Intent, cause: Cause) => Outcome<Intent>,
  ) =>
    once(request, (cause) => {
      const intent = ledger.readIntent(request.params.id);
      if (intent === undefined) return noSuch("payment_intent", request.params.id, "intent");
      return answerWith(ledger, work(intent, cause), expand);
    });

  api.post(
    "/v1/payment_intents/:id/confirm",
    { schema: { params: idParams, body: parameters.confirmIntent } },
    (request, reply) => {
      const { body } = request;
      return send(
        reply,
        onIntent(request, body.expand, (intent, cause) => confirmPayment(ledger, intent, body, cause)),
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
        onIntent(request, body.expand, (intent, cause) => capturePayment(ledger, intent, body, cause)),
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
        onIntent(request, expand, (intent, cause) => cancelPayment(ledger, intent, reason ?? null, cause)),
      );
    },
  );

  api.post("/v1/refunds", { schema: { body: parameters.createRefund } }, (request, reply) => {
    const answer = once(request, (cause) =>
      answerWith(ledger, refundCharge(ledger, request.body, cause), request.body.expand),
    );
    return send(reply, answer);
  });
}
