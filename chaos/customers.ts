import { setTimeout as delay } from "node:timers/promises";
import * as z from "zod";

// What owners and staff do over REST while parts of the platform die: like any good client, they repeat what was not
// answered, with the same Idempotency-Key.

export type Answered = { kind: "done"; body: unknown } | { kind: "refused"; status: number; detail: string };

export type Rest = {
  /** @throws Error when nobody answered for so long, or `signal` aborts */
  post(path: string, token: string, key: string, body: object): Promise<Answered>;
  get(path: string, token: string): Promise<Answered>;
};

const problemSchema = z.looseObject({ code: z.string(), detail: z.string() });
const timeoutMs = 15_000;
const pauseMs = 250;
/** Longer than any restart of the platform on a busy machine. */
const patienceMs = 90_000;

/** @param baseUrl asked at every try: after a restart the platform may be elsewhere */
export function createRest(baseUrl: () => string, signal: AbortSignal): Rest {
  async function once(method: string, path: string, token: string, key: string | null, body?: object) {
    const response = await fetch(`${baseUrl()}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...(key === null ? {} : { "idempotency-key": key }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    });
    return { status: response.status, text: await response.text() };
  }

  async function call(method: string, path: string, token: string, key: string | null, body?: object) {
    const giveUpAt = performance.now() + patienceMs;
    for (;;) {
      signal.throwIfAborted();
      let trouble: string;
      try {
        const { status, text } = await once(method, path, token, key, body);
        if (status < 300) return { kind: "done", body: parseJson(text) } as const;
        if (status < 500 && status !== 429) {
          const problem = problemSchema.safeParse(parseJson(text));
          const detail = problem.success
            ? `${problem.data.code}: ${problem.data.detail}`
            : text.slice(0, 200);
          return { kind: "refused", status, detail } as const;
        }
        trouble = `answered ${status}`;
      } catch (error) {
        trouble = error instanceof Error ? error.message : String(error);
      }
      if (performance.now() > giveUpAt) throw new Error(`${method} ${path}: ${trouble} for ${patienceMs} ms`);
      await delay(pauseMs, undefined, { signal });
    }
  }

  return {
    post: (path, token, key, body) => call("POST", path, token, key, body),
    get: (path, token) => call("GET", path, token, null),
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
