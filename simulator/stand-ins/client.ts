import * as z from "zod";

export type PartnerAnswer = { status: number; headers: Headers; body: unknown };

/** A minimal client of a stand-in: real HTTP, nothing hidden. */
export function partnerClient(baseUrl: string, apiKey?: string) {
  return async (
    method: string,
    path: string,
    options: { body?: unknown; idempotencyKey?: string; signal?: AbortSignal } = {},
  ): Promise<PartnerAnswer> => {
    const headers: Record<string, string> = {};
    if (apiKey !== undefined) headers.authorization = `Bearer ${apiKey}`;
    if (options.body !== undefined) headers["content-type"] = "application/json";
    if (options.idempotencyKey !== undefined) headers["idempotency-key"] = options.idempotencyKey;
    const response = await fetch(`${baseUrl}${path}`, {
      method,
      headers,
      body: options.body === undefined ? null : JSON.stringify(options.body),
      signal: options.signal ?? null,
    });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      body: text === "" ? undefined : JSON.parse(text),
    };
  };
}

export type PartnerClient = ReturnType<typeof partnerClient>;

/** Longer than the longest long poll (30 s). */
const timeoutMs = 40_000;

/** Asks a stand-in's control entrance. @throws Error when it refuses */
export type StandIn = {
  get<T extends z.ZodType>(path: string, answer: T, signal?: AbortSignal): Promise<z.output<T>>;
  put(path: string, body: object): Promise<void>;
  post<T extends z.ZodType>(path: string, body: object, answer: T): Promise<z.output<T>>;
};

export function openStandIn(baseUrl: string): StandIn {
  const client = partnerClient(baseUrl);
  async function call(method: string, path: string, options: { body?: object; signal?: AbortSignal }) {
    const timeout = AbortSignal.timeout(timeoutMs);
    const signal = options.signal === undefined ? timeout : AbortSignal.any([timeout, options.signal]);
    const { status, body } = await client(method, path, { ...options, signal });
    if (status >= 300)
      throw new Error(
        `${method} ${path.split("?")[0]} was refused with ${status}: ${errorMessage({ body }) ?? "no words"}`,
      );
    return body;
  }
  return {
    get: async (path, answer, signal) =>
      answer.parse(await call("GET", path, signal === undefined ? {} : { signal })),
    async put(path, body) {
      await call("PUT", path, { body });
    },
    post: async (path, body, answer) => answer.parse(await call("POST", path, { body })),
  };
}

const errorSchema = z.object({ error: z.looseObject({ message: z.string() }) });

/** The message of an error envelope; `undefined` where there is none. */
export function errorMessage({ body }: Pick<PartnerAnswer, "body">): string | undefined {
  return errorSchema.safeParse(body).data?.error.message;
}
