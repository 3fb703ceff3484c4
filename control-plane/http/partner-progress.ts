import * as z from "zod";

/** How asking a partner goes, in the resources of what was asked for: order, registration, transport. */
export const partnerProgress = {
  tries: z.int().describe("How often the partner was asked so far, as 2."),
  lastError: z
    .string()
    .nullable()
    .describe(
      "The partner's reason for a refusal, or why the last try failed, as `invalid_option: winterPack is sold out`; null after an answer. Customers do not see it.",
    ),
  nextTryAt: z.iso
    .datetime()
    .nullable()
    .describe("When it is asked again by itself, in real time; null: it is not, a person must act first."),
};

export function describeProgress(progress: {
  tries: number;
  lastError: string | null;
  nextTryAt: Date | null;
}) {
  return { ...progress, nextTryAt: progress.nextTryAt?.toISOString() ?? null };
}
