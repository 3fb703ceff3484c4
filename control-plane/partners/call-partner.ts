import { parseJson } from "@caas/contract/parse-json.ts";
import * as z from "zod";
import { boundedFetch } from "./bounded-fetch.ts";
import { type PartnerName, PartnerUnavailable } from "./partner-error.ts";
import { storableJson } from "./storable-answers.ts";

/** How a partner's JSON interface is reached. */
export type PartnerEndpoint = {
  name: PartnerName;
  /** As `http://127.0.0.1:4001`, without a slash at the end. */
  baseUrl: string;
  apiKey: string;
  /** For the whole call: connecting, waiting and reading the answer. Real time. */
  timeoutMs: number;
};

export type PartnerOptions = { baseUrl: string; apiKey: string; timeoutMs?: number };

/** Offices and factories take their time, and no person waits at a screen for them. */
const defaultTimeoutMs = 10_000;

export function endpointOf(name: PartnerName, options: PartnerOptions): PartnerEndpoint {
  return { name, timeoutMs: defaultTimeoutMs, ...options };
}

export type PartnerRequest = {
  method: "GET" | "POST" | "PUT";
  /** With its query, already encoded. */
  path: string;
  body?: object;
  idempotencyKey?: string;
};

export type PartnerAnswer<T> =
  | { kind: "ok"; value: T }
  /** The partner understood and said no: repeating the same request would not help. */
  | { kind: "refused"; status: number; code: string; message: string };

// A partner's document is small; a larger one is nonsense and must not fill our memory.
const maxAnswerBytes = 256 * 1024;

const errorSchema = z.object({ error: z.object({ code: z.string(), message: z.string() }) });

/**
 * One HTTP call. A clear no (4xx) is a value.
 * @throws PartnerUnavailable when the partner is slow, down (5xx, 429, no connection) or talks nonsense.
 */
export async function callPartner<T>(
  endpoint: PartnerEndpoint,
  request: PartnerRequest,
  schema: z.ZodType<T>,
): Promise<PartnerAnswer<T>> {
  const { status, text } = await exchange(endpoint, request);
  if (status >= 500 || status === 429 || status === 408)
    throw new PartnerUnavailable(endpoint.name, `answered ${status}`);
  if (status >= 400) return { kind: "refused", status, ...describeRefusal(text) };
  const parsed = schema.safeParse(readAnswer(text));
  if (!parsed.success)
    throw new PartnerUnavailable(
      endpoint.name,
      `its answer to ${request.method} ${request.path} cannot be understood`,
      parsed.error,
    );
  return { kind: "ok", value: parsed.data };
}

/** What the partner has under our reference; `null`: nothing. @throws PartnerUnavailable */
export async function lookUp<T>(
  endpoint: PartnerEndpoint,
  collection: string,
  reference: string,
  schema: z.ZodType<T>,
): Promise<PartnerAnswer<T | null>> {
  const path = `/v1/${collection}?reference=${encodeURIComponent(reference)}`;
  const found = await callPartner(
    endpoint,
    { method: "GET", path },
    z.object({ [collection]: z.array(schema).max(1) }),
  );
  return found.kind === "refused" ? found : { kind: "ok", value: found.value[collection]?.[0] ?? null };
}

/**
 * Asks for something of which the partner makes one for each of our references: an order, a registration. A try that
 * follows another first looks up what the earlier one may have done.
 *
 * @param collection as in the path: `/v1/orders`
 * @throws PartnerUnavailable: try again later
 */
export async function requestOnce<T>(
  endpoint: PartnerEndpoint,
  collection: string,
  request: { reference: string },
  schema: z.ZodType<T>,
  attempt: number,
): Promise<PartnerAnswer<T>> {
  const { reference } = request;
  const path = `/v1/${collection}`;
  if (attempt > 1) {
    const found = await lookUp(endpoint, collection, reference, schema);
    if (found.kind === "ok" && found.value !== null) return { kind: "ok", value: found.value };
  }
  return callPartner(endpoint, { method: "POST", path, body: request, idempotencyKey: reference }, schema);
}

async function exchange(
  endpoint: PartnerEndpoint,
  request: PartnerRequest,
): Promise<{ status: number; text: string }> {
  const { timeoutMs } = endpoint;
  try {
    const response = await boundedFetch({ timeoutMs, maxBytes: maxAnswerBytes })(
      `${endpoint.baseUrl}${request.path}`,
      {
        method: request.method,
        headers: {
          accept: "application/json",
          authorization: `Bearer ${endpoint.apiKey}`,
          ...(request.body === undefined ? {} : { "content-type": "application/json" }),
          ...(request.idempotencyKey === undefined ? {} : { "idempotency-key": request.idempotencyKey }),
        },
        ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
      },
    );
    return { status: response.status, text: await response.text() };
  } catch (error) {
    throw new PartnerUnavailable(endpoint.name, explain(error, timeoutMs), error);
  }
}

function explain(error: unknown, timeoutMs: number): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "TimeoutError") return `no answer within ${timeoutMs} ms`;
  // fetch says only "fetch failed"; the cause knows the socket's story.
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}

/** Not yet checked. What a partner writes must not fail us when it is stored. */
function readAnswer(text: string): unknown {
  return parseJson(storableJson(text));
}

function describeRefusal(text: string): { code: string; message: string } {
  const parsed = errorSchema.safeParse(readAnswer(text));
  return parsed.success ? parsed.data.error : { code: "unknown", message: "refused without a reason" };
}
