import * as z from "zod";

export type PartnerAnswer = { status: number; headers: Headers; body: unknown };

/** A minimal client of a stand-in: real HTTP, nothing hidden. For tests. */
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

const errorSchema = z.object({ error: z.looseObject({ message: z.string() }) });

/** The message of an error envelope; anything else fails the test. */
export function errorMessage(answer: PartnerAnswer): string {
  return errorSchema.parse(answer.body).error.message;
}

/** Asks again and again until the answer fits; the test's own time-out ends it. */
export async function askUntil(
  ask: () => Promise<PartnerAnswer>,
  fits: (body: unknown) => boolean,
): Promise<PartnerAnswer> {
  for (;;) {
    const answer = await ask();
    if (fits(answer.body)) return answer;
  }
}
