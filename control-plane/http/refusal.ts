import type { Refused } from "../rules/types.ts";
import type { ErrorCode } from "./error-table.ts";

/** A "no" as a value: what a capability returns instead of its result. Returning one undoes the transaction. */
export type Refusal = {
  kind: "refused";
  code: ErrorCode;
  detail: string;
  /** Row of the rules that refused, and where the specification says so. */
  rule?: string;
  section?: string;
  /** JSON path of the offending field. */
  field?: string;
};

export function refuse(code: ErrorCode, detail: string, more: Pick<Refusal, "field"> = {}): Refusal {
  return { kind: "refused", code, detail, ...more };
}

/** The rules' own refusal, for a caller of the REST interface. */
export function refuseByRule(refused: Refused): Refusal {
  return {
    kind: "refused",
    code: "ruleRefused",
    detail: refused.message,
    rule: refused.rule,
    section: refused.section,
  };
}
