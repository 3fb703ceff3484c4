import { createHash } from "node:crypto";
import * as z from "zod";
import { type Answer, refuse } from "./http.ts";
import type { PartnerStore } from "./store.ts";

const storedAnswerSchema = z.object({
  key: z.string(),
  fingerprint: z.string(),
  answer: z.object({
    status: z.int(),
    body: z.unknown().optional(),
    headers: z.record(z.string(), z.string()).optional(),
  }),
  storedAt: z.string(),
});

export type IdempotentCall = {
  /** The `Idempotency-Key` header; without one the work is simply done. */
  key: string | undefined;
  method: string;
  path: string;
  body: unknown;
};

export type IdempotencyOptions = {
  now: () => Date;
  /** After how long a key is forgotten and the work would be done again; `Infinity`: never. */
  keptForMs: number;
  /** The answer to a key that comes again with another request. */
  onMismatch: (key: string) => Answer;
  /** Headers that tell a repeated answer from a first one. */
  replayHeaders?: Readonly<Record<string, string>>;
};

export const partnerIdempotency = {
  keptForMs: Number.POSITIVE_INFINITY,
  onMismatch: (key: string) =>
    refuse(422, "idempotency_key_reused", `Idempotency-Key ${key} was used with another request`),
};

/** One effect per key: the work and its stored answer commit together, so a repeat gets the first answer. */
export function createIdempotency(store: PartnerStore, options: IdempotencyOptions) {
  const answers = store.collection("idempotentAnswers", storedAnswerSchema);
  return function answerOnce(call: IdempotentCall, work: () => Answer): Answer {
    const { key } = call;
    if (key === undefined) return store.transaction(work);
    const fingerprint = createHash("sha256")
      .update(`${call.method} ${call.path}\n${JSON.stringify(call.body ?? null)}`)
      .digest("base64url");
    return store.transaction(() => {
      const first = answers.get(key);
      const nowMs = options.now().getTime();
      if (first !== undefined && nowMs - Date.parse(first.storedAt) < options.keptForMs) {
        if (first.fingerprint !== fingerprint) return options.onMismatch(key);
        return { ...first.answer, headers: { ...first.answer.headers, ...options.replayHeaders } };
      }
      const answer = work();
      answers.put(key, { key, fingerprint, answer, storedAt: new Date(nowMs).toISOString() });
      return answer;
    });
  };
}
