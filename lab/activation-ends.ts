import { setTimeout as delay } from "node:timers/promises";
import { nowMs } from "@caas/simulator/run/pace.ts";
import pg from "pg";
import * as z from "zod";

export const endSchema = z.object({
  activationId: z.string(),
  state: z.string(),
  paymentId: z.string().nullable(),
  paymentStatus: z.string().nullable(),
  /** Ms of the machine's clock. */
  capturedMs: z.number().nullable(),
});
/** What became of an activation, as the database has it. */
export type ActivationEnd = z.infer<typeof endSchema>;

export type ActivationEnds = {
  /** Starts looking for its end. @returns how it ended, or its present state when it is given up */
  add(activationId: string): Promise<ActivationEnd>;
  /** Those that have not ended. */
  pending(): ReadonlySet<string>;
  ended(): number;
  /** Ms since one ended, or since it began to look. */
  silentMs(): number;
  /** What is still under way is given up. */
  close(): Promise<void>;
};

export type ActivationEndsOptions = {
  databaseUrl: string;
  /** How often it looks, at the platform's expense. */
  lookEveryMs: number;
  /** Whether it counts as ended only when its payment has, too: a capture follows the service. */
  withPayment: boolean;
  /** After this time without any end, what is still under way is given up. Default: never. */
  silenceMs?: () => number;
};

const paymentEnded = "payment.status in ('captured', 'declined', 'voided')";
const endsWithoutPayment = "activation.state in ('ServiceDenied', 'PaymentFailed', 'NoCharge')";

/** Looks into the database: following each activation over REST would be most of the load. */
export function watchActivationEnds(options: ActivationEndsOptions): ActivationEnds {
  const pool = new pg.Pool({ connectionString: options.databaseUrl, max: 1 });
  pool.on("error", () => undefined);
  const pending = new Map<string, PromiseWithResolvers<ActivationEnd>>();
  const closing = new AbortController();
  const { silenceMs = () => Number.POSITIVE_INFINITY } = options;
  let ended = 0;
  let lastEndMs = nowMs();

  async function look(everything: boolean): Promise<void> {
    if (pending.size === 0) return;
    const { rows } = await pool.query<ActivationEnd>({
      name: "look",
      text: `select activation.id as "activationId", activation.state, payment.id as "paymentId",
                    payment.status as "paymentStatus",
                    case payment.status when 'captured' then (extract(epoch from payment.settled_at) * 1000)::float8 end
                      as "capturedMs"
             from unnest($1::uuid[]) as asked (id)
             join activations activation using (id)
             left join payments payment on payment.activation_id = activation.id
             where $2 or ${options.withPayment ? `${paymentEnded} or ${endsWithoutPayment}` : "activation.ended_at is not null"}`,
      values: [[...pending.keys()], everything],
    });
    for (const end of rows) {
      ended += 1;
      lastEndMs = nowMs();
      pending.get(end.activationId)?.resolve(end);
      pending.delete(end.activationId);
    }
  }

  async function keepLooking(): Promise<void> {
    while (!closing.signal.aborted) {
      const isSilent = pending.size > 0 && nowMs() - lastEndMs > silenceMs();
      await look(isSilent).catch((error: unknown) => {
        // Otherwise the next look sees what this one could not.
        if (isSilent) for (const { reject } of pending.values()) reject(error);
      });
      await delay(options.lookEveryMs, undefined, { signal: closing.signal }).catch(() => undefined);
    }
    await look(true).catch(() => undefined);
  }
  const looking = keepLooking();

  return {
    add(activationId) {
      if (pending.size === 0) lastEndMs = nowMs();
      const end = pending.get(activationId) ?? Promise.withResolvers<ActivationEnd>();
      pending.set(activationId, end);
      return end.promise;
    },
    pending: () => new Set(pending.keys()),
    ended: () => ended,
    silentMs: () => nowMs() - lastEndMs,
    async close() {
      closing.abort();
      await looking;
      await pool.end();
    },
  };
}
