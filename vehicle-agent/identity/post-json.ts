import { createHash } from "node:crypto";
import * as z from "zod";

export type PostAnswer<T> =
  | { kind: "answered"; response: T }
  /** The control plane refused: asking again at once changes nothing. */
  | { kind: "refused"; status: number; detail: string }
  /** No trusted answer this time. */
  | { kind: "unreachable"; detail: string };

/** Limit of one attempt: the control plane only has to sign one certificate. */
const answerTimeoutMs = 10_000;

const problemSchema = z.looseObject({ detail: z.string() });

/** Asks the control plane once. An answer that is not of `schema` counts as none. */
export async function postJson<T>(
  url: URL,
  request: object,
  schema: z.ZodType<T>,
  signal?: AbortSignal,
): Promise<PostAnswer<T>> {
  const body = JSON.stringify(request);
  // From the body: after a crash the request is signed again, and another body under the same key would be refused.
  const idempotencyKey = createHash("sha256").update(body).digest("base64url");
  const timeout = AbortSignal.timeout(answerTimeoutMs);
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json", "idempotency-key": idempotencyKey },
      body,
      signal: signal === undefined ? timeout : AbortSignal.any([timeout, signal]),
    });
    const text = await response.text();
    const answer: unknown = text === "" ? null : JSON.parse(text);
    if (response.ok) return { kind: "answered", response: schema.parse(answer) };
    const problem = problemSchema.safeParse(answer);
    const detail = problem.success ? problem.data.detail : `HTTP ${response.status}`;
    const mayPass = response.status >= 500 || response.status === 429 || response.status === 408;
    return mayPass ? { kind: "unreachable", detail } : { kind: "refused", status: response.status, detail };
  } catch (error) {
    return { kind: "unreachable", detail: error instanceof Error ? error.message : String(error) };
  }
}
