import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import * as z from "zod";
import type { PreparedBuyers } from "../../lab/owners.ts";

/** Closed loop: as many under way as said, the next begins when one ends. Open loop: they begin when they are due. */
export type Load = { kind: "underWay"; underWay: number } | { kind: "perSecond"; perSecond: number };

export const orderSchema = z.object({
  kind: z.literal("buy"),
  count: z.int().min(1),
  load: z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("underWay"), underWay: z.int().min(1) }),
    z.object({ kind: z.literal("perSecond"), perSecond: z.number().positive() }),
  ]),
});

export const setUpSchema = z.object({
  kind: z.literal("setUp"),
  rest: z.string(),
  databaseUrl: z.string(),
  buyers: z.array(z.object({ vehicleId: z.string(), token: z.string() })),
  serviceIds: z.array(z.string()),
});

const purchaseSchema = z.object({
  activationId: z.string(),
  /** When it was due; in a closed loop when it was sent. */
  intendedMs: z.number(),
  state: z.string(),
  paymentId: z.string().nullable(),
  paymentStatus: z.string().nullable(),
  capturedMs: z.number().nullable(),
});
/** What became of one purchase, as the database has it. Times in ms of the machine's clock. */
export type Purchase = z.infer<typeof purchaseSchema>;

const boughtSchema = z.object({
  kind: z.literal("bought"),
  purchases: z.array(purchaseSchema),
  /** Requests that were not answered with 202, by status. */
  refused: z.record(z.string(), z.int()),
  startedMs: z.number(),
  endedMs: z.number(),
});
export type Bought = z.infer<typeof boughtSchema>;

export type PaidGenerator = { buy(count: number, load: Load): Promise<Bought>; stop(): Promise<void> };

const entry = fileURLToPath(new URL("./buyers-program.ts", import.meta.url));

/** Who buys is a process of its own, so that what customers cost is not counted as what the platform costs. */
export async function startPaidGenerator(
  options: PreparedBuyers & { rest: string; databaseUrl: string; signal: AbortSignal },
): Promise<PaidGenerator> {
  const { signal, ...setUp } = options;
  const child = fork(entry, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const stopBuying = () => child.connected && child.send("stop");
  signal.addEventListener("abort", stopBuying, { once: true });
  child.send({ kind: "setUp", ...setUp });
  await hear(child);
  return {
    async buy(count, load) {
      child.send({ kind: "buy", count, load });
      return boughtSchema.parse(await hear(child));
    },
    async stop() {
      signal.removeEventListener("abort", stopBuying);
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, "exit");
      child.disconnect();
      await gone;
    },
  };
}

/** The child's next message. @throws Error when it ends instead. */
function hear(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null) => reject(new Error(`the buyers ended early with code ${code}`));
    child.once("exit", onExit);
    child.once("message", (message) => {
      child.off("exit", onExit);
      resolve(message);
    });
  });
}
