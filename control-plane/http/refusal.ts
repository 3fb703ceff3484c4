import type { Refused } from "../rules/types.ts";
import type { ErrorCode } from "./error-table.ts";

/** A "no" as a value, returned instead of a result. A handler of one request that returns it undoes its transaction. */
export type Refusal = {
  kind: "refused";
  code: ErrorCode;
  detail: string;
  /** The row of the rules that refused, and its place in the specification. */
  rule?: string;
  section?: string;
  /** JSON path of the offending field. */
  field?: string;
  /** When the same request may succeed. */
  retryAfterSeconds?: number;
};

export function refuse(
  code: ErrorCode,
  detail: string,
  more: Pick<Refusal, "field" | "retryAfterSeconds"> = {},
): Refusal {
  return { kind: "refused", code, detail, ...more };
}

/** A refusal of the rules, for a caller of the REST interface. */
export function refuseByRule(refused: Refused): Refusal {
  return {
    kind: "refused",
    code: "ruleRefused",
    detail: refused.message,
    rule: refused.rule,
    section: refused.section,
  };
}
