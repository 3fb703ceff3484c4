import { createHash, timingSafeEqual } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { isLoopbackHost } from "@caas/contract/loopback-host.ts";
import {
  type FastifyBaseLogger,
  type FastifyReply,
  type FastifyRequest,
  type FastifyTypeProvider,
  fastify,
} from "fastify";
import { pino } from "pino";
import * as z from "zod";
import type { Faults } from "./faults.ts";
import type { PartnerStore } from "./store.ts";
import { answerEndlessly, answerSlowly } from "./wrong-pace.ts";

/** What a stand-in answers. Refusals are answers too: nothing is thrown for them. */
export type Answer = { status: number; body?: unknown; headers?: Readonly<Record<string, string>> };

/** Why a request is refused; each partner puts it into its own error envelope. */
export type Refusal = { status: number; code: string; message: string; field?: string };
export type ErrorShape = (refusal: Refusal) => unknown;

interface ZodTypeProvider extends FastifyTypeProvider {
  validator: this["schema"] extends z.ZodType ? z.output<this["schema"]> : unknown;
  serializer: unknown;
}

/** Thrown by the body, query and path parsers; the error handler turns it into the partner's envelope. */
export class InvalidRequest extends Error {
  readonly statusCode = 400;
  readonly code = "invalid_request";
  readonly field: string;
  constructor(field: string, message: string) {
    super(message);
    this.field = field;
  }
}

/** `{ error: { code, message } }`: the envelope of all partners but the payment gateway. */
export const plainError: ErrorShape = ({ code, message }) => ({ error: { code, message } });

export function refuse(status: number, code: string, message: string): Answer {
  return { status, body: plainError({ status, code, message }) };
}

/** `order.vin`, or `body` for the whole of it. */
export function nameField(path: readonly PropertyKey[]): string {
  return path.length === 0 ? "body" : path.map(String).join(".");
}

/** The first complaint of zod as one sentence that starts with the field's name. */
export function describeIssue(error: z.ZodError): { field: string; message: string } {
  const issue = error.issues[0];
  if (issue === undefined) return { field: "body", message: "body: invalid" };
  if (issue.code === "unrecognized_keys") {
    const field = nameField([...issue.path, issue.keys[0] ?? ""]);
    return { field, message: `${field}: unknown field` };
  }
  const field = nameField(issue.path);
  return { field, message: `${field}: ${issue.message}` };
}

export type AppOptions = {
  logger?: FastifyBaseLogger;
  /** What an answer says was written is on disk before it leaves. */
  store: PartnerStore;
  errorShape: ErrorShape;
  querystringParser?: (text: string) => Record<string, unknown>;
  /** For this machine only: a web site whose name points here is refused. */
  isLocal: boolean;
};

/** An HTTP server without routes yet. */
export function createApp({ logger, store, errorShape, querystringParser, isLocal }: AppOptions) {
  const app = fastify({
    loggerInstance: logger ?? pino({ level: "silent" }),
    // A stand-in that holds a request open forever (a time-out knob) must still be able to close.
    forceCloseConnections: true,
    bodyLimit: 1024 * 1024,
    routerOptions: { maxParamLength: 300, ...(querystringParser && { querystringParser }) },
  }).withTypeProvider<ZodTypeProvider>();
  app.setValidatorCompiler(({ schema }) => (data: unknown) => {
    if (!(schema instanceof z.ZodType)) return { value: data };
    const parsed = schema.safeParse(data ?? {});
    if (parsed.success) return { value: parsed.data };
    const { field, message } = describeIssue(parsed.error);
    return { error: new InvalidRequest(field, message) };
  });
  if (isLocal)
    app.addHook("onRequest", async ({ headers }, reply) => {
      if (isLoopbackHost(headers.host)) return;
      const message = "this server is for this machine: ask for it as 127.0.0.1 or localhost";
      return reply.status(421).send(errorShape({ status: 421, code: "foreign_host", message }));
    });
  app.addHook("onSend", () => store.committed());
  app.setErrorHandler((error, request, reply) => {
    const refusal = asRefusal(error);
    if (refusal.status >= 500) request.log.error(error);
    return reply.status(refusal.status).send(errorShape(refusal));
  });
  app.setNotFoundHandler((request, reply) =>
    reply.status(404).send(
      errorShape({
        status: 404,
        code: "no_such_route",
        message: `there is no ${request.method} ${request.url.split("?")[0]} here`,
      }),
    ),
  );
  return app;
}

export type PartnerApp = ReturnType<typeof createApp>;

function asRefusal(error: unknown): Refusal {
  if (error instanceof InvalidRequest)
    return { status: 400, code: error.code, message: error.message, field: error.field };
  const status =
    error instanceof Error && "statusCode" in error && typeof error.statusCode === "number"
      ? error.statusCode
      : 500;
  if (status >= 500) return { status, code: "internal_error", message: "the stand-in itself failed" };
  return { status, code: "invalid_request", message: error instanceof Error ? error.message : "invalid" };
}

/** Requests the knobs have marked: done as usual, then left without an answer. */
const unanswered = new WeakSet<FastifyRequest>();
/** The request is done as usual, and its answer never leaves. */
export function leaveUnanswered(request: FastifyRequest): void {
  unanswered.add(request);
}

const answeredWithNonsense = new WeakSet<FastifyRequest>();
const answeredGarbled = new WeakSet<FastifyRequest>();
const garble = "\u0000\ud83d";

/** Free text has blanks; ids, dates and codes stay as they are. */
function garbleText(payload: unknown): unknown {
  return typeof payload === "string"
    ? JSON.stringify(JSON.parse(payload), (_name, value) =>
        typeof value === "string" && value.includes(" ") ? value + garble : value,
      )
    : payload;
}

const nonsense = "<html><body>Welcome to nginx!</body></html>";

/** Resolves when the client has hung up (or the server is closing and dropped it). */
function waitForHangUp(reply: FastifyReply): Promise<void> {
  if (reply.raw.destroyed) return Promise.resolve();
  return new Promise((resolve) => reply.raw.once("close", () => resolve()));
}

/** A signal that aborts when the answer is out or the client has hung up. */
export function hangUpSignal(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  reply.raw.once("close", () => controller.abort());
  return controller.signal;
}

export function isBearer(header: string | undefined, apiKey: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(header ?? ""), digest(`Bearer ${apiKey}`));
}

export type ApiOptions = { apiKey: string; faults: Faults; errorShape: ErrorShape };

/** Registers the partner's own API: with its key, and with the knobs, which reach no other route. */
export function registerApi(
  app: PartnerApp,
  { apiKey, faults, errorShape }: ApiOptions,
  routes: (api: PartnerApp) => void,
): void {
  app.register(async (instance) => {
    const api = instance.withTypeProvider<ZodTypeProvider>();
    api.addHook("onRequest", async (request, reply) => {
      if (!isBearer(request.headers.authorization, apiKey)) {
        const message = "the API key is missing or wrong";
        return reply.status(401).send(errorShape({ status: 401, code: "unauthorized", message }));
      }
      const latencyMs = faults.latencyMs();
      // A client that gives up meanwhile does not undo its request: it is still dealt with.
      if (latencyMs > 0) await delay(latencyMs, undefined, { signal: hangUpSignal(reply) }).catch(() => {});
      const fault = faults.take();
      if (fault.kind === "fail") {
        const { status, code, message } = fault;
        return reply.status(status).send(errorShape({ status, code, message }));
      }
      if (fault.kind === "timeOutBeforeDoing") {
        reply.hijack();
        return reply;
      }
      if (fault.kind === "answerEndlessly") {
        answerEndlessly(reply);
        return reply;
      }
      if (fault.kind === "answerSlowly") {
        answerSlowly(reply);
        return reply;
      }
      if (fault.kind === "timeOutAfterDoing") leaveUnanswered(request);
      if (fault.kind === "answerNonsense") answeredWithNonsense.add(request);
      if (fault.kind === "garbleText") answeredGarbled.add(request);
    });
    api.addHook("onSend", async (request, reply, payload) => {
      if (unanswered.has(request)) await waitForHangUp(reply);
      if (answeredGarbled.has(request)) {
        reply.removeHeader("content-length");
        return garbleText(payload);
      }
      if (!answeredWithNonsense.has(request)) return payload;
      reply.status(200).type("text/html").removeHeader("content-length");
      return nonsense;
    });
    routes(api);
  });
}

export function send(reply: FastifyReply, answer: Answer): FastifyReply {
  reply.status(answer.status).headers(answer.headers ?? {});
  return answer.body === undefined ? reply.send() : reply.send(answer.body);
}
