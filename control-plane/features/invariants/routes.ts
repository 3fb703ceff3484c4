import * as z from "zod";
import { addQuery, type Routing } from "../../http/routes.ts";
import type { Context } from "../../lifecycle/context.ts";
import {
  findOffenders,
  graceMs,
  invariants,
  type Offender,
  type Tolerance,
  tolerances,
} from "./find-offenders.ts";

const differenceSchema = z.object({
  invariant: z.enum(invariants),
  activationId: z.uuid(),
  vehicleId: z.uuid(),
  since: z.iso.datetime(),
  ageMs: z.int(),
  activationState: z.string(),
  paymentStatus: z.string(),
  /** Where its whole time-line can be read. */
  timeLine: z.string().meta({
    description: "Where the story of the activation is.",
    examples: ["/api/activations/0197f0e2-6d0a-7c51-9f0e-3b6f0a7d1c22/explanation"],
  }),
});

const toleratedSchema = differenceSchema.extend({ tolerance: z.enum(tolerances) });

function describe({ tolerance: _tolerance, since, ...offender }: Offender, now: Date) {
  return {
    ...offender,
    since: since.toISOString(),
    ageMs: now.getTime() - since.getTime(),
    timeLine: `/api/activations/${offender.activationId}/explanation`,
  };
}

export function invariantRoutes(context: Context, routing: Routing): void {
  addQuery(routing, {
    url: "/api/invariants",
    tag: "operations",
    summary: "List what breaks an invariant",
    description:
      "Money without service, and service without money: the count should be zero at all times. Each offender names " +
      "the time-line that says why. Presumed payments that are younger than their deadline to be known, and services " +
      "of charged-back payments that the car still holds, are listed apart, as is money that is with us again after its " +
      "service was taken back, until a person has settled it: they are tolerated for a while.",
    answer: z.object({
      at: z.iso.datetime(),
      graceMs: z.int(),
      counts: z.object({ moneyWithoutService: z.int(), serviceWithoutMoney: z.int() }),
      offenders: z.array(differenceSchema),
      tolerated: z.array(toleratedSchema),
    }),
    async run(db) {
      const now = context.clock.now();
      const all = await findOffenders(db, now);
      const offenders = all.filter(({ tolerance }) => tolerance === null);
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
          offenders: offenders.map((offender) => describe(offender, now)),
          tolerated: all.flatMap((one) => {
            const tolerance: Tolerance | null = one.tolerance;
            return tolerance === null ? [] : [{ ...describe(one, now), tolerance }];
          }),
        },
      };
    },
  });
}
