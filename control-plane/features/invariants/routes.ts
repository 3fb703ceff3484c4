import * as z from "zod";
import { addQuery, type Routing } from "../../http/routes.ts";
import type { Context } from "../../lifecycle/context.ts";
import { findOffenders, graceMs, invariants } from "./find-offenders.ts";

const offenderSchema = z.object({
  invariant: z.enum(invariants),
  activationId: z.uuid(),
  vehicleId: z.uuid(),
  since: z.iso.datetime(),
  ageMs: z.int(),
  activationState: z.string(),
  paymentStatus: z.string(),
  /** Where its whole time-line can be read. */
  timeLine: z.string(),
});

export function invariantRoutes(context: Context, routing: Routing): void {
  addQuery(routing, {
    url: "/api/invariants",
    tag: "operations",
    summary: "List what breaks an invariant",
    description:
      "Money without service, and service without money: the count should be zero at all times. Each offender names " +
      "the time-line that says why.",
    answer: z.object({
      at: z.iso.datetime(),
      graceMs: z.int(),
      counts: z.object({ moneyWithoutService: z.int(), serviceWithoutMoney: z.int() }),
      offenders: z.array(offenderSchema),
    }),
    async run(db) {
      const now = context.clock.now();
      const offenders = await findOffenders(db, now);
      const count = (name: (typeof invariants)[number]) =>
        offenders.filter(({ invariant }) => invariant === name).length;
      return {
        kind: "done",
        answer: {
          at: now.toISOString(),
          graceMs,
          counts: {
            moneyWithoutService: count("moneyWithoutService"),
            serviceWithoutMoney: count("serviceWithoutMoney"),
          },
          offenders: offenders.map(({ since, ...offender }) => ({
            ...offender,
            since: since.toISOString(),
            ageMs: now.getTime() - since.getTime(),
            timeLine: `/api/activations/${offender.activationId}/explanation`,
          })),
        },
      };
    },
  });
}
