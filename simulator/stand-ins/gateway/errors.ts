import type { Answer, ErrorShape } from "../shared/http.ts";
import type { Intent, PaymentError } from "./objects.ts";

// Stripe's error envelope: `{ error: { type, code?, message, param?, … } }`. https://docs.stripe.com/api/errors

type ErrorBody = {
  type: "api_error" | "card_error" | "idempotency_error" | "invalid_request_error";
  message: string;
  code?: string;
  param?: string;
  decline_code?: string;
  charge?: string;
  payment_method?: PaymentError["payment_method"];
  payment_intent?: Intent;
};

function answer(status: number, error: ErrorBody): Answer {
  return { status, body: { error } };
}

/** For what the shared parts refuse: keys, fields, unknown routes, the fault knobs. */
export const stripeError: ErrorShape = ({ status, message, field }) => ({
  error: {
    type: status >= 500 ? "api_error" : "invalid_request_error",
    message,
    ...(status === 429 ? { code: "rate_limit" } : {}),
    ...(field === undefined ? {} : { param: field }),
  },
});

export function noSuch(what: string, id: string, param: string, status: 400 | 404 = 404): Answer {
  const message = `No such ${what}: '${id}'`;
  return answer(status, { type: "invalid_request_error", code: "resource_missing", message, param });
}

export function invalidParameter(param: string, message: string, code?: string): Answer {
  return answer(400, {
    type: "invalid_request_error",
    message,
    param,
    ...(code === undefined ? {} : { code }),
  });
}

/** The card may not be used for this: no decline of a bank, and Stripe gives no code. */
export function cardNotUsable(message: string): Answer {
  return answer(400, { type: "invalid_request_error", message, param: "payment_method" });
}

export function unexpectedState(intent: Intent, wanted: string, allowed: readonly string[]): Answer {
  return answer(400, {
    type: "invalid_request_error",
    code: "payment_intent_unexpected_state",
    message: `A payment intent in status ${intent.status} cannot be ${wanted}; that takes ${allowed.join(" or ")}.`,
    payment_intent: intent,
  });
}

/** The card was refused (402); the intent stays and says why. */
export function cardDeclined(error: PaymentError, intent: Intent): Answer {
  return answer(402, { ...error, payment_intent: intent });
}

export function keyReused(key: string): Answer {
  const message = `The idempotency key ${key} was used before with other parameters or another endpoint.`;
  return answer(400, { type: "idempotency_error", message });
}
