import type { FastifyReply, FastifyRequest } from "fastify";
import * as z from "zod";
import type { Db, Transaction } from "../store/database.ts";
import { passFailpoint } from "../store/failpoints.ts";
import { groupCommit } from "../store/group-commit.ts";
import { type Access, accessTable, type Relation } from "./access-table.ts";
import {
  claimKey,
  claimKeys,
  hashBody,
  type KeyClaim,
  type StoredAnswer,
  storeAnswer,
  storeAnswers,
} from "./idempotency.ts";
import type { Principal } from "./principal.ts";
import { problemOf, problemOfRefusal, problemResponse, sendProblem } from "./problem.ts";
import { type Refusal, refuse } from "./refusal.ts";
import { isRelated, relatedParameters } from "./relation.ts";
import type { Http } from "./server.ts";
import type { Sessions } from "./sessions.ts";

/** What adding a route needs. */
export type Routing = { server: Http; db: Db; sessions: Sessions };

type Shape = z.ZodObject;
type Empty = z.ZodObject<Record<never, never>>;
const empty: Empty = z.strictObject({});

type Description<Params extends Shape, Answer extends z.ZodType> = {
  /** With `:name` for each parameter of `params`. */
  url: string;
  tag: string;
  summary: string;
  description?: string;
  params?: Params;
  answer: Answer;
};

/** Why a handler is only reached signed in: the access table said so. */
type Asked<Params extends Shape> = {
  principal: Principal;
  params: z.output<Params>;
  request: FastifyRequest;
};

export type Command<Params extends Shape, Body extends Shape, Answer extends z.ZodType> = Description<
  Params,
  Answer
> & {
  body: Body;
  status: 200 | 201 | 202;
  /**
   * Runs in one transaction together with the Idempotency-Key; a refusal undoes all of it. Partners are never
   * called here: enqueue a job.
   */
  run(
    tx: Transaction,
    asked: Asked<Params> & { body: z.output<Body> },
  ): Promise<{ kind: "done"; answer: z.input<Answer> } | Refusal>;
  /**
   * Instead of `run`, for what many do at the same time: those that come together share a transaction. The answers
   * stand in the same order; a refused one must have changed nothing.
   */
  runMany?(
    tx: Transaction,
    asked: readonly (Asked<Params> & { body: z.output<Body> })[],
  ): Promise<readonly ({ kind: "done"; answer: z.input<Answer> } | Refusal)[]>;
};

export type Query<Params extends Shape, Search extends Shape, Answer extends z.ZodType> = Description<
  Params,
  Answer
> & {
  search?: Search;
  run(
    db: Db,
    asked: Asked<Params> & { search: z.output<Search> },
  ): Promise<{ kind: "done"; answer: z.input<Answer> } | Refusal>;
};

/** Adds a POST route that changes something. */
export function addCommand<
  Params extends Shape = Empty,
  Body extends Shape = Empty,
  Answer extends z.ZodType = z.ZodType,
>(routing: Routing, command: Command<Params, Body, Answer>): void {
  const route = `POST ${command.url}`;
  const access = requireAccess(route);
  const params = command.params ?? empty;
  const needsKey = access.kind === "roles" && access.idempotencyKey === undefined;
  type Given = Asked<Params> & { body: z.output<Body> };
  const toDone = (outcome: { kind: "done"; answer: z.input<Answer> } | Refusal): Done | Refusal =>
    outcome.kind === "refused"
      ? outcome
      : {
          kind: "done",
          answer: { status: command.status, body: toBody(command.answer.parse(outcome.answer)) },
        };
  const { runMany } = command;
  const execute: (once: { claim: KeyClaim | null; asked: Given }) => Promise<Done | Refusal> =
    runMany === undefined
      ? ({ claim, asked }) =>
          runOnce(routing.db, {
            claim,
            run: async (tx) => toDone(await command.run(tx, asked)),
          })
      : groupCommit((all: readonly { claim: KeyClaim | null; asked: Given }[]) =>
          runManyOnce(
            routing.db,
            all.map(({ claim, asked }) => ({ claim, item: asked })),
            async (tx, given) => (await runMany(tx, given)).map(toDone),
          ),
        );
  routing.server.post(
    command.url,
    {
      preValidation: admitTo(routing, access),
      schema: {
        ...describe(command, access),
        body: command.body,
        params,
        ...(needsKey ? { headers: z.looseObject({ "idempotency-key": z.string().optional() }) } : {}),
        response: { [command.status]: command.answer, default: problemResponse },
      },
    },
    async (request, reply) => {
      const principal = principalOf(request);
      const key = request.headers["idempotency-key"];
      if (needsKey && (typeof key !== "string" || key.length < 1 || key.length > 200))
        return sendProblem(
          reply,
          problemOf(
            "idempotencyKeyMissing",
            "send an Idempotency-Key header of 1 to 200 characters, new for each intent",
          ),
        );
      const result = await execute({
        claim:
          needsKey && typeof key === "string"
            ? {
                principal: principal.userId,
                key,
                route: `POST ${request.url}`,
                bodyHash: hashBody(request.body),
              }
            : null,
        asked: {
          principal,
          params: params.parse(request.params) as z.output<Params>, // parsed by the same schema
          body: command.body.parse(request.body) as z.output<Body>, // idem
          request,
        },
      });
      if (result.kind === "refused") return sendProblem(reply, problemOfRefusal(result));
      return sendAnswer(reply, result.answer);
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
  routing.server.get(
    query.url,
    {
      preValidation: admitTo(routing, access),
      schema: {
        ...describe(query, access),
        params,
        querystring: search,
        response: { 200: query.answer, default: problemResponse },
      },
    },
    async (request, reply) => {
      const outcome = await query.run(routing.db, {
        principal: principalOf(request),
        params: params.parse(request.params) as z.output<Params>, // parsed by the same schema
        search: search.parse(request.query) as z.output<Search>, // idem
        request,
      });
      if (outcome.kind === "refused") return sendProblem(reply, problemOfRefusal(outcome));
      return sendAnswer(reply, { status: 200, body: toBody(query.answer.parse(outcome.answer)) });
    },
  );
}

function describe(route: Description<Shape, z.ZodType>, access: Access) {
  const who =
    access.kind === "public"
      ? `Public: ${access.why}.`
      : `For ${Object.entries(access.roles)
          .map(([role, relation]) => (relation === "any" ? role : `${role} (${relation})`))
          .join(
            ", ",
          )}.${access.idempotencyKey === undefined ? "" : ` Needs no Idempotency-Key: ${access.idempotencyKey.exempt}.`}`;
  return {
    summary: route.summary,
    description: [route.description, who].filter((text) => text !== undefined).join("\n\n"),
    tags: [route.tag],
    operationId: operationIdOf(route.summary),
    ...(access.kind === "public" ? {} : { security: [{ session: [] }] }),
  };
}

/** "Pay the reservation" → `payTheReservation`: the name of the client's function. */
export function operationIdOf(summary: string): string {
  const [first = "", ...rest] = summary
    .replaceAll(/[^A-Za-z0-9 ]/g, "")
    .split(" ")
    .filter((word) => word !== "");
  return (
    first.toLowerCase() +
    rest.map((word) => word.charAt(0).toUpperCase() + word.slice(1).toLowerCase()).join("")
  );
}

function requireAccess(route: string): Access {
  const access = accessTable[route];
  if (access === undefined) throw new Error(`no row for "${route}" in http/access-table.ts`);
  return access;
}

export function headersOf(request: FastifyRequest): Headers {
  const headers = new Headers();
  for (const name of ["authorization", "cookie", "user-agent", "origin"]) {
    const value = request.headers[name];
    if (typeof value === "string") headers.set(name, value);
  }
  return headers;
}

/** Who was let in, by request. */
const admittedBy = new WeakMap<FastifyRequest, Principal>();

function principalOf(request: FastifyRequest): Principal {
  const principal = admittedBy.get(request);
  if (principal === undefined) throw new Error("a request reached its handler without being admitted");
  return principal;
}

/** Before the body is looked at: who may not call a route learns nothing about what it takes. */
function admitTo(routing: Routing, access: Access) {
  return async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined> => {
    const admitted = await admit(routing, access, request);
    if (admitted.kind === "refused") return sendProblem(reply, problemOfRefusal(admitted));
    admittedBy.set(request, admitted.principal);
    return undefined;
  };
}

async function admit(
  routing: Routing,
  access: Access,
  request: FastifyRequest,
): Promise<{ kind: "admitted"; principal: Principal } | Refusal> {
  if (access.kind === "public")
    throw new Error("a public route has no principal: register it on the server itself");
  const principal = await routing.sessions.principalOf(headersOf(request));
  if (principal === null) return refuse("notSignedIn", "sign in at POST /api/sign-in and send its token");
  const relation: Relation | undefined = access.roles[principal.role];
  if (relation === undefined) {
    const allowed = Object.keys(access.roles).join(", ");
    return refuse("forbidden", `the role ${principal.role} may not do this; it takes ${allowed}`);
  }
  const named: Record<string, string> = {};
  if (request.params !== null && typeof request.params === "object")
    for (const [name, value] of Object.entries(request.params))
      if (relatedParameters.has(name) || name.endsWith("Id")) named[name] = String(value);
  if (!(await isRelated(routing.db, principal, relation, named)))
    return refuse("notFound", "there is no such thing, or it is not yours to see");
  return { kind: "admitted", principal };
}

function toBody(value: unknown): object {
  if (value === null || typeof value !== "object") throw new Error("an answer is a JSON object");
  return value;
}

function sendAnswer(reply: FastifyReply, answer: StoredAnswer): FastifyReply {
  return reply.code(answer.status).type("application/json").send(JSON.stringify(answer.body));
}

class Undo extends Error {
  readonly refusal: Refusal;
  constructor(refusal: Refusal) {
    super("the transaction is undone");
    this.refusal = refusal;
  }
}

type Done = { kind: "done"; answer: StoredAnswer };

/** Runs the work and keeps its answer under the key, in one transaction; or repeats the answer of the first run. */
async function runOnce(
  db: Db,
  once: {
    claim: KeyClaim | null;
    run(tx: Transaction): Promise<Done | Refusal>;
  },
): Promise<Done | Refusal> {
  try {
    const done = await db.transaction().execute(async (tx): Promise<Done> => {
      if (once.claim !== null) {
        const claim = await claimKey(tx, once.claim);
        if (claim.kind === "repeat") return { kind: "done", answer: claim.answer };
        if (claim.kind === "otherRequest") throw new Undo(keyReused());
      }
      const outcome = await once.run(tx);
      if (outcome.kind === "refused") throw new Undo(outcome);
      if (once.claim !== null) await storeAnswer(tx, once.claim, outcome.answer);
      return outcome;
    });
    passFailpoint("request-committed-before-answer");
    return done;
  } catch (error) {
    if (error instanceof Undo) return error.refusal;
    throw error;
  }
}

const keyReused = () => refuse("idempotencyKeyReused", "take a new Idempotency-Key for a new request");

/** The same for many requests in one transaction. Whoever is refused has changed nothing, and its key is free again. */
async function runManyOnce<Item>(
  db: Db,
  all: readonly { claim: KeyClaim | null; item: Item }[],
  run: (tx: Transaction, items: readonly Item[]) => Promise<readonly (Done | Refusal)[]>,
): Promise<(Done | Refusal)[]> {
  const results = await db.transaction().execute(async (tx) => {
    const claims = await claimKeys(
      tx,
      all.map(({ claim }) => claim),
    );
    const first = all.filter((_, index) => claims[index]?.kind === "first");
    const outcomes = await run(
      tx,
      first.map(({ item }) => item),
    );
    const outcomeOf = new Map(first.map((one, index) => [one, outcomes[index]]));
    await storeAnswers(
      tx,
      first.flatMap((one) => {
        const outcome = outcomeOf.get(one);
        if (one.claim === null || outcome === undefined) return [];
        return [{ claim: one.claim, answer: outcome.kind === "done" ? outcome.answer : null }];
      }),
    );
    return all.map((one, index): Done | Refusal => {
      const claim = claims[index];
      if (claim === undefined || claim.kind === "otherRequest") return keyReused();
      if (claim.kind === "repeat") return { kind: "done", answer: claim.answer };
      // Sent twice in this very round: one does the work and both get its answer.
      const source = claim.kind === "twin" ? all[claim.of] : one;
      const outcome = source === undefined ? undefined : outcomeOf.get(source);
      if (outcome === undefined) throw new Error("a request of a round was not run");
      return outcome;
    });
  });
  passFailpoint("request-committed-before-answer");
  return results;
}
