import type { FastifyReply, FastifyRequest } from "fastify";
import * as z from "zod";
import type { Db } from "../store/database.ts";
import { passFailpoint } from "../store/failpoints.ts";
import { requireAccess } from "./access-table.ts";
import { admitTo, principalOf } from "./admission.ts";
import { type Done, hashBody, oncePerKey } from "./idempotency.ts";
import type { Principal } from "./principal.ts";
import { problemResponses, sendRefusal } from "./problem.ts";
import type { Refusal } from "./refusal.ts";
import {
  describeRoute,
  idempotencyKeyHeader,
  listRefusals,
  type RouteDescription,
} from "./route-description.ts";
import { createRunner, type RunMany, type Work } from "./run-work.ts";
import type { Http } from "./server.ts";
import type { Sessions } from "./sessions.ts";

/** What adding a route needs. */
export type Routing = { server: Http; db: Db; sessions: Sessions };

type Shape = z.ZodObject;
type Empty = z.ZodObject<Record<never, never>>;
const empty: Empty = z.strictObject({});

type Route<Params extends Shape, Answer extends z.ZodType> = RouteDescription & {
  /** With `:name` for each parameter of `params`. */
  url: string;
  params?: Params;
  answer: Answer;
};

/** A request whose caller was admitted, as the access table says. */
type Asked<Params extends Shape> = {
  principal: Principal;
  params: z.output<Params>;
  request: FastifyRequest;
};

type Answered<Answer extends z.ZodType> = { kind: "done"; answer: z.input<Answer> };

/** Runs in one transaction together with the Idempotency-Key. Partners are never called there: enqueue a job. */
export type Command<Params extends Shape, Body extends Shape, Answer extends z.ZodType> = Route<
  Params,
  Answer
> & {
  body: Body;
  status: 200 | 201 | 202;
} & Work<Asked<Params> & { body: z.output<Body> }, Answered<Answer>>;

export type Query<Params extends Shape, Search extends Shape, Answer extends z.ZodType> = Route<
  Params,
  Answer
> & {
  search?: Search;
  run(db: Db, asked: Asked<Params> & { search: z.output<Search> }): Promise<Answered<Answer> | Refusal>;
};

/** Adds a POST route that changes something. */
export function addCommand<
  Params extends Shape = Empty,
  Body extends Shape = Empty,
  Answer extends z.ZodType = z.ZodType,
>(routing: Routing, command: Command<Params, Body, Answer>): void {
  const access = requireAccess(`POST ${command.url}`);
  const params = command.params ?? empty;
  const needsKey = access.kind === "roles" && access.idempotencyKey === undefined;
  const refuses = listRefusals(command, access, {
    body: true,
    key: needsKey,
    params: command.params !== undefined,
  });
  type Given = Asked<Params> & { body: z.output<Body> };
  const execute = createRunner(routing.db, command, (runMany: RunMany<Given, Answered<Answer>>) =>
    oncePerKey<Given>(async (tx, asked) =>
      (await runMany(tx, asked)).map((outcome) =>
        outcome.kind === "refused" ? outcome : toDone(command.status, command.answer, outcome.answer),
      ),
    ),
  );
  routing.server.post(
    command.url,
    {
      preValidation: admitTo(routing, access),
      schema: {
        ...describeRoute(command, access),
        body: command.body,
        params,
        ...(needsKey ? { headers: idempotencyKeyHeader } : {}),
        response: { [command.status]: command.answer, ...problemResponses(refuses) },
      },
      config: { refuses },
    },
    async (request, reply) => {
      const principal = principalOf(request);
      const key = request.headers["idempotency-key"];
      const outcome = await execute({
        claim:
          needsKey && typeof key === "string"
            ? {
                principal: principal.userId,
                key,
                route: `POST ${request.url}`,
                bodyHash: hashBody(request.body),
              }
            : null,
        item: {
          principal,
          params: params.parse(request.params) as z.output<Params>, // parsed by the same schema
          body: command.body.parse(request.body) as z.output<Body>, // idem
          request,
        },
      });
      if (outcome.kind === "done") passFailpoint("request-committed-before-answer");
      return sendOutcome(reply, outcome);
    },
  );
}

/** Adds a GET route; it changes nothing. */
export function addQuery<
  Params extends Shape = Empty,
  Search extends Shape = Empty,
  Answer extends z.ZodType = z.ZodType,
>(routing: Routing, query: Query<Params, Search, Answer>): void {
  const access = requireAccess(`GET ${query.url}`);
  const params = query.params ?? empty;
  const search = query.search ?? empty;
  const refuses = listRefusals(query, access, {
    body: false,
    key: false,
    params: query.params !== undefined,
  });
  routing.server.get(
    query.url,
    {
      preValidation: admitTo(routing, access),
      schema: {
        ...describeRoute(query, access),
        params,
        querystring: search,
        response: { 200: query.answer, ...problemResponses(refuses) },
      },
      config: { refuses },
    },
    async (request, reply) => {
      const outcome = await query.run(routing.db, {
        principal: principalOf(request),
        params: params.parse(request.params) as z.output<Params>, // parsed by the same schema
        search: search.parse(request.query) as z.output<Search>, // idem
        request,
      });
      return sendOutcome(
        reply,
        outcome.kind === "refused" ? outcome : toDone(200, query.answer, outcome.answer),
      );
    },
  );
}

function toDone(status: number, schema: z.ZodType, given: unknown): Done {
  const body = schema.parse(given);
  if (body === null || typeof body !== "object") throw new Error("an answer is a JSON object");
  return { kind: "done", answer: { status, body } };
}

function sendOutcome(reply: FastifyReply, outcome: Done | Refusal): FastifyReply {
  if (outcome.kind === "refused") return sendRefusal(reply, outcome);
  const { status, body } = outcome.answer;
  return reply.code(status).type("application/json").send(JSON.stringify(body));
}
