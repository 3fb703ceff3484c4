import { randomUUID } from "node:crypto";
import * as z from "zod";

/** The other side answered, and said no. */
export class RestRefused extends Error {
  override name = "RestRefused";
  readonly status: number;
  readonly code: string;
  constructor(request: string, status: number, code: string, detail: string) {
    super(`${request} was refused with ${status} ${code}: ${detail}`);
    this.status = status;
    this.code = code;
  }
}

export type RestClient = {
  get<T extends z.ZodType>(
    path: string,
    answer: T,
    options?: { timeoutMs?: number; signal?: AbortSignal },
  ): Promise<z.output<T>>;
  /** With a new Idempotency-Key, because each call is a new intent. */
  post<T extends z.ZodType>(path: string, body: object, answer: T): Promise<z.output<T>>;
  put(path: string, body: object): Promise<void>;
  /** The same client, signed in. */
  withToken(token: string): RestClient;
};

/** RFC 9457, and the stand-ins' own form. */
const problemSchema = z.union([
  z.looseObject({ code: z.string(), detail: z.string() }),
  z
    .looseObject({ error: z.looseObject({ code: z.string(), message: z.string() }) })
    .transform(({ error }) => ({
      code: error.code,
      detail: error.message,
    })),
]);

/** Longer than the longest long poll of either side (30 s). */
const defaultTimeoutMs = 40_000;

/** What people and programs do over REST, without a browser. Answers are checked before they are believed. */
export function createRestClient(baseUrl: string, token: string | null = null): RestClient {
  async function call(
    method: string,
    path: string,
    body: object | undefined,
    options: { timeoutMs?: number; signal?: AbortSignal } = {},
  ): Promise<unknown> {
    const timeout = AbortSignal.timeout(options.timeoutMs ?? defaultTimeoutMs);
    const response = await fetch(`${baseUrl}${path}`, {
      method,
      headers: {
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...(method === "POST" ? { "idempotency-key": randomUUID() } : {}),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: options.signal === undefined ? timeout : AbortSignal.any([timeout, options.signal]),
    });
    const text = await response.text();
    if (response.ok) return text === "" ? null : JSON.parse(text);
    const problem = problemSchema.safeParse(parseJson(text));
    const { code, detail } = problem.success
      ? problem.data
      : { code: "unreadable", detail: text.slice(0, 300) };
    throw new RestRefused(`${method} ${path.split("?")[0]}`, response.status, code, detail);
  }

  return {
    get: async (path, answer, options) => answer.parse(await call("GET", path, undefined, options)),
    post: async (path, body, answer) => answer.parse(await call("POST", path, body)),
    async put(path, body) {
      await call("PUT", path, body);
    },
    withToken: (given) => createRestClient(baseUrl, given),
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
