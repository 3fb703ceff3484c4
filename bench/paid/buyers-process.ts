import { startCalledProcess } from "@caas/simulator/processes/called-process.ts";
import * as z from "zod";
import { endSchema } from "../../lab/activation-ends.ts";

/** Closed loop: as many under way as said, the next begins when one ends. Open loop: they begin when they are due. */
const loadSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("underWay"), underWay: z.int().min(1) }),
  z.object({ kind: z.literal("perSecond"), perSecond: z.number().positive() }),
]);
export type Load = z.infer<typeof loadSchema>;

const setUpSchema = z.object({
  kind: z.literal("setUp"),
  rest: z.string(),
  databaseUrl: z.string(),
  buyers: z.array(z.object({ vehicleId: z.string(), token: z.string() })),
  serviceIds: z.array(z.string()),
});
export type SetUp = z.infer<typeof setUpSchema>;

export const commandSchema = z.discriminatedUnion("kind", [
  setUpSchema,
  z.object({ kind: z.literal("buy"), count: z.int().min(1), load: loadSchema }),
  /** Begins no more purchases, and gives up soon what is under way. */
  z.object({ kind: z.literal("hurry") }),
  z.object({ kind: z.literal("stop") }),
]);

/** A purchase; `intendedMs`: when it was due, in a closed loop when it was sent. Ms of the machine's clock. */
const purchaseSchema = z.object({ ...endSchema.shape, serviceId: z.string(), intendedMs: z.number() });
export type Purchase = z.infer<typeof purchaseSchema>;

const boughtSchema = z.object({
  purchases: z.array(purchaseSchema),
  /** Requests that were refused, by status. */
  refused: z.record(z.string(), z.int()),
  startedMs: z.number(),
  endedMs: z.number(),
});
export type Bought = z.infer<typeof boughtSchema>;

export type BuyersProcess = { buy(count: number, load: Load): Promise<Bought>; stop(): Promise<void> };

/** Buyers are a process of their own, so that what customers cost is not counted as what the platform costs. */
export async function startBuyers(setUp: Omit<SetUp, "kind">, signal: AbortSignal): Promise<BuyersProcess> {
  const process = startCalledProcess(new URL("./buyers-program.ts", import.meta.url), {
    name: "the buyers' process",
  });
  const hurry = () => void process.call({ kind: "hurry" }).catch(() => undefined);
  signal.addEventListener("abort", hurry, { once: true });
  await process.call({ kind: "setUp", ...setUp });
  return {
    buy: async (count, load) => boughtSchema.parse(await process.call({ kind: "buy", count, load })),
    async stop() {
      signal.removeEventListener("abort", hurry);
      await process.stop();
    },
  };
}
