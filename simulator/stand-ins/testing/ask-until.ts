import type { PartnerAnswer } from "../client.ts";

/** Asks again and again until the answer fits; the test's own time-out ends it. */
export async function askUntil(
  ask: () => Promise<PartnerAnswer>,
  fits: (body: unknown) => boolean,
): Promise<PartnerAnswer> {
  for (;;) {
    const answer = await ask();
    if (fits(answer.body)) return answer;
  }
}
