import { hourMs } from "@caas/contract/durations.ts";
import { parseJson } from "@caas/contract/parse-json.ts";
import * as z from "zod";
import type { NewMessage } from "./webhooks.ts";

// How partners' messages change without notice: times with an offset, fields that are new, `null` for what is not
// known, and types that did not exist before.

const offsetMs = hourMs;

/** The same message as another release writes it, and before it one of an unknown type about the same subject. */
export function oddly(message: NewMessage): NewMessage[] {
  const { id, subject } = message;
  const body = z.looseObject({ data: z.looseObject({}) }).safeParse(parseJson(message.body, writeOddly)).data;
  const odd = JSON.stringify({ ...body, apiVersion: "2027-01", links: [] });
  const type = `${message.type.split(".")[0]}.delayed`;
  const unheardOfId = `${id}_unheard_of`;
  const unheardOf = JSON.stringify({
    ...body,
    // The payment gateway's id is in the body.
    ...(body !== undefined && "id" in body ? { id: unheardOfId } : {}),
    type,
    data: { ...body?.data, reason: null },
  });
  return [
    { id: unheardOfId, subject, type, body: unheardOf },
    { ...message, body: odd },
  ];
}

/** Midday in Madrid instead of 11 o'clock in UTC; and no day is announced. */
function writeOddly(key: string, value: unknown): unknown {
  if (key === "eta") return null;
  if (key === "data" && value !== null && typeof value === "object")
    return { ...value, remark: null, tags: ["x"] };
  if (typeof value !== "string" || !z.iso.datetime().safeParse(value).success) return value;
  return new Date(Date.parse(value) + offsetMs).toISOString().replace("Z", "+01:00");
}
