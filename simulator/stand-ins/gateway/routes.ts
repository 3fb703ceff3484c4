import type { FastifyReply, FastifyRequest } from "fastify";
import * as z from "zod";
import { type Answer, type PartnerApp, send } from "../shared/http.ts";
import type { Collection } from "../shared/store.ts";
import type { Books, Cause, Outcome } from "./books.ts";
import { noSuch } from "./errors.ts";
import { type Expandable, expandList, expandObject, pageOf, searchIntents } from "./listing.ts";
import type { Customer, Dispute, Intent, Refund } from "./objects.ts";
import * as parameters from "./parameters.ts";
import { cancelPayment, capturePayment, confirmPayment, createPayment } from "./payments.ts";
import { refundCharge } from "./refunds.ts";

const idParams = z.object({ id: z.string().max(200) });

/** Does a writing call once for each idempotency key, and sends its answer. */
export type Once = (
  request: FastifyRequest,
  reply: FastifyReply,
  work: (cause: Cause) => Answer,
) => FastifyReply;

function answerWith(
  books: Books,
  outcome: Outcome<Expandable>,
  expand: readonly string[] | undefined,
): Answer {
  if (outcome.status === "refused") return outcome.answer;
  const expanded = expandObject(books, outcome.object, expand);
  return expanded.status === "refused" ? expanded.answer : { status: 200, body: expanded.object };
}

export function registerReads(api: PartnerApp, books: Books): void {
  /** @param param as Stripe names the id in its refusal */
  function readOne(path: string, what: string, param: string, find: (id: string) => Expandable | undefined) {
    const schema = { params: idParams, querystring: parameters.retrieve };
    api.get(`${path}/:id`, { schema }, (request, reply) => {
      const { id } = request.params;
      const object = find(id);
      if (object === undefined) return send(reply, noSuch(what, id, param));
      return send(reply, answerWith(books, { status: "done", object }, request.query.expand));
    });
  }
  readOne("/v1/customers", "customer", "id", books.customers.get);
  readOne("/v1/payment_intents", "payment_intent", "intent", books.readIntent);
  readOne("/v1/charges", "charge", "id", books.charges.get);
  readOne("/v1/refunds", "refund", "id", books.refunds.get);
  readOne("/v1/disputes", "dispute", "id", books.disputes.get);

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

  /** What belongs to charges, and by them to intents. */
  function readList<T extends Refund | Dispute>(path: string, all: Collection<T, "charge" | "intent">) {
    api.get(path, { schema: { querystring: parameters.listOfCharge } }, (request, reply) => {
      const { charge, payment_intent: intent, expand } = request.query;
      const candidates = intent === undefined ? all.list() : all.find("intent", intent);
      const found = candidates.filter((one) => charge === undefined || one.charge === charge);
      return send(reply, pageOf(found, path, request.query, expandList(books, expand)));
    });
  }
  readList("/v1/refunds", books.refunds);
  readList("/v1/disputes", books.disputes);
}

export function registerWrites(api: PartnerApp, books: Books, once: Once): void {
  api.post("/v1/customers", { schema: { body: parameters.createCustomer } }, (request, reply) =>
    once(request, reply, () => {
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
    }),
  );

  api.post("/v1/payment_intents", { schema: { body: parameters.createIntent } }, (request, reply) =>
    once(request, reply, (cause) =>
      answerWith(books, createPayment(books, request.body, cause), request.body.expand),
    ),
  );

  type OnIntent = FastifyRequest & { params: { id: string }; body: { expand?: string[] | undefined } };
  const onIntent = (
    request: OnIntent,
    reply: FastifyReply,
    work: (intent: Intent, cause: Cause) => Outcome<Intent>,
  ) =>
    once(request, reply, (cause) => {
      const intent = books.readIntent(request.params.id);
      if (intent === undefined) return noSuch("payment_intent", request.params.id, "intent");
      return answerWith(books, work(intent, cause), request.body.expand);
    });
  const intentPath = (action: string) => `/v1/payment_intents/:id/${action}`;
  const taking = <Body extends z.ZodType>(body: Body) => ({ schema: { params: idParams, body } });

  api.post(intentPath("confirm"), taking(parameters.confirmIntent), (request, reply) =>
    onIntent(request, reply, (intent, cause) => confirmPayment(books, intent, request.body, cause)),
  );
  api.post(intentPath("capture"), taking(parameters.captureIntent), (request, reply) =>
    onIntent(request, reply, (intent, cause) => capturePayment(books, intent, request.body, cause)),
  );
  api.post(intentPath("cancel"), taking(parameters.cancelIntent), (request, reply) =>
    onIntent(request, reply, (intent, cause) =>
      cancelPayment(books, intent, request.body.cancellation_reason ?? null, cause),
    ),
  );

  api.post("/v1/refunds", { schema: { body: parameters.createRefund } }, (request, reply) =>
    once(request, reply, (cause) =>
      answerWith(books, refundCharge(books, request.body, cause), request.body.expand),
    ),
  );
}
