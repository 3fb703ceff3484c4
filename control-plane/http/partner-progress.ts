import * as z from "zod";

/** How asking a partner goes, in the resources of what was asked for: order, registration, transport. */
export const partnerProgress = {
  tries: z.int(),
  lastError: z.string().nullable(),
  nextTryAt: z.iso.datetime().nullable(),
};

export function describeProgress(progress: {
  tries: number;
  lastError: string | null;
  nextTryAt: Date | null;
}) {
  return { ...progress, nextTryAt: progress.nextTryAt?.toISOString() ?? null };
}
