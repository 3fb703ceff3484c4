import * as z from "zod";
import { parseJson } from "../parse-json.ts";

// The hand-written half of the REST client: sessions, keys and problems. The functions themselves are generated from
// the interface's description (generated.ts) and take a client as their last argument:
//
//   const client = createClient({ baseUrl: "http://127.0.0.1:8080" });
//   const { token } = await signIn({ username, password }, client);
//   const activation = await buyAService(vehicleId, { serviceId, paymentMethod }, { ...client, token });

/** RFC 9457, the answer of every route that refuses; docs/errors.md lists the codes. */
export const problemSchema = z.looseObject({
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  code: z.string(),
  rule: z.string().optional(),
  section: z.string().optional(),
  errors: z.array(z.object({ field: z.string(), message: z.string() })).optional(),
});
export type RestProblem = z.infer<typeof problemSchema>;

/** The platform refused. `problem.code` says why; only the kind `transient` is worth repeating. */
export class RestRefused extends Error {
  override name = "RestRefused";
  readonly problem: RestProblem;
  constructor(request: string, problem: RestProblem) {
    super(`${request} was refused with ${problem.status} ${problem.code}: ${problem.detail}`);
    this.problem = problem;
  }
}

/** The caller. A plain value: spread it to call once with another token, key or signal. */
export type Client = {
  /** Without a trailing slash. */
  baseUrl: string;
  /** From `signIn`; without it only public routes answer. */
  token?: string | undefined;
  /** Limit of one call, real time. */
  timeoutMs: number;
  newKey: () => string;
  fetch: typeof fetch;
};

/** What one call may add. */
export type Call = Client & {
  /** Of a POST. Repeat a call with the key of the first try so that it is done only once; default: a new one. */
  idempotencyKey?: string;
  signal?: AbortSignal | null;
  headers?: RequestInit["headers"];
};

/** Longer than the longest time that the platform lets a caller wait for a step (20 s). */
const defaultTimeoutMs = 30_000;

/** @throws TypeError when `baseUrl` is no http or https address */
export function createClient(options: Pick<Client, "baseUrl"> & Partial<Client>): Client {
  const { protocol } = new URL(options.baseUrl);
  if (protocol !== "http:" && protocol !== "https:")
    throw new TypeError(`${options.baseUrl} is no http or https address`);
  return {
    timeoutMs: defaultTimeoutMs,
    newKey: () => crypto.randomUUID(),
    fetch: globalThis.fetch,
    ...options,
    baseUrl: options.baseUrl.replace(/\/+$/, ""),
  };
}

/**
 * Sends one request of a generated function. The answer's type is what the interface's description promises; it is
 * not checked again.
 *
 * @throws RestRefused when the platform answers with a problem
 * @throws TypeError or a time-out's DOMException from `fetch` when it does not answer: repeat with the same key
 */
export async function send<T>(path: string, call: Call & { method: string; body?: string }): Promise<T> {
  const { baseUrl, token, timeoutMs, newKey, idempotencyKey, signal, method, body } = call;
  const headers = new Headers(call.headers);
  if (token !== undefined) headers.set("authorization", `Bearer ${token}`);
  if (method === "POST") headers.set("idempotency-key", idempotencyKey ?? newKey());
  const timeout = AbortSignal.timeout(timeoutMs);
  const response = await call.fetch(`${baseUrl}${path}`, {
    method,
    headers,
    signal: signal === undefined || signal === null ? timeout : AbortSignal.any([timeout, signal]),
    ...(body === undefined ? {} : { body }),
  });
  const answer = parseJson(await response.text());
  if (response.ok) return answer as T; // promised by the description that this function was generated from
  throw new RestRefused(`${method} ${path.split("?")[0]}`, readProblem(response.status, answer));
}

/** A proxy in front of the platform may answer in its own format. */
function readProblem(status: number, answer: unknown): RestProblem {
  const parsed = problemSchema.safeParse(answer);
  if (parsed.success) return parsed.data;
  return {
    title: "No problem document",
    status,
    detail: "the answer is not the platform's",
    code: "unreadable",
  };
}
