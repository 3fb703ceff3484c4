import type { StandInAddresses } from "@caas/simulator/stand-ins/addresses.ts";
import { openStandIn } from "@caas/simulator/stand-ins/client.ts";
import { knobSchema } from "@caas/simulator/stand-ins/shared/knobs.ts";
import * as z from "zod";

const named = ["factory", "gateway", "vss", "authority", "transport", "inbox"] as const;
const answerSchema = z.object({ knobs: z.array(knobSchema) });

/** What someone has set on the stand-ins, in an earlier session too, a sentence each, with the way back. */
export async function listSetKnobs(standIns: StandInAddresses): Promise<string[]> {
  const lists = await Promise.all(
    named.map(async (name) => {
      const url = standIns[name];
      // One that does not answer explains itself elsewhere.
      const { knobs } = await openStandIn(url)
        .get("/_control/knobs", answerSchema)
        .catch(() => ({ knobs: [] }));
      return knobs.map(
        ({ what, value, reset }) =>
          `The ${what} of the stand-in ${name}: someone has set ${JSON.stringify(value)}. Back as it was: curl -X DELETE ${url}${reset}`,
      );
    }),
  );
  return lists.flat();
}
