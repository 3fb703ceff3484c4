import { makeStorable } from "@caas/contract/outside-text.ts";
import { parseJson } from "@caas/contract/parse-json.ts";

/** What JSON can only say with an escape: NUL, and halves of surrogate pairs. Almost no answer has one. */
const suspicious = /\\u(?:0000|d[89a-f])/i;

/** A partner's JSON with all its text storable. */
export function storableJson(text: string): string {
  if (!suspicious.test(text)) return text;
  const value = parseJson(text);
  return value === undefined ? text : JSON.stringify(makeStorable(value));
}
