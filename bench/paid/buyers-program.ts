import { randomUUID } from "node:crypto";
import { Agent, request } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import * as z from "zod";
import { type Bought, orderSchema, type Purchase, setUpSchema } from "./buyers-process.ts";

// Buys over REST as customers do, each in the session of the car's owner, and looks at the database for what became
// of it: following each purchase over REST would be most of the load.

type SetUp = z.infer<typeof setUpSchema>;
type Order = z.infer<typeof orderSchema>;
type UnderWay = { intendedMs: number; ended(): void };

/** How often it is looked for what has ended: nothing in the figures rests on it, the times are the database's. */
const lookEveryMs = 100;
/** Nothing ended for so long: what is still under way is given up and reported as it stands. */
const silenceMs = 30_000;
const paymentMethod = "pm_card_visa";

const answerSchema = z.object({ id: z.uuid() });
const nowMs = (): number => performance.timeOrigin + performance.now();

let stopped = false;

async function createBuying(setUp: SetUp) {
  const { hostname, port } = new URL(setUp.rest);
  const agent = new Agent({ keepAlive: true, maxSockets: 512 });
  const client = new pg.Client({ connectionString: setUp.databaseUrl });
  await client.connect();
  /** A ring: the car that bought longest ago is next, and it has taken its next service. */
  const ring = setUp.buyers.map((buyer) => ({ ...buyer, bought: 0 }));
  let next = 0;

  function post(vehicleId: string, token: string, serviceId: string): Promise<string | number> {
    return new Promise((resolve, reject) => {
      const body = JSON.stringify({ serviceId, paymentMethod });
      const sent = request(
        {
          agent,
          hostname,
          port,
          method: "POST",
          path: `/api/vehicles/${vehicleId}/activations`,
          headers: {
            authorization: `Bearer ${token}`,
            "content-type": "application/json",
            "content-length": Buffer.byteLength(body),
            "idempotency-key": randomUUID(),
          },
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on("data", (chunk: Buffer) => chunks.push(chunk));
          response.on("end", () => {
            const text = Buffer.concat(chunks).toString("utf8");
            resolve(
              response.statusCode === 202
                ? answerSchema.parse(JSON.parse(text)).id
                : (response.statusCode ?? 0),
            );
          });
        },
      );
      sent.on("error", reject);
      sent.end(body);
    });
  }

  async function look(underWay: ReadonlyMap<string, UnderWay>, everything: boolean): Promise<Purchase[]> {
    if (underWay.size === 0) return [];
    const { rows } = await client.query<{
      id: string;
      state: string;
      payment_id: string | null;
      payment_status: string | null;
      captured_ms: number | null;
    }>({
      name: "look",
      text: `select activation.id, activation.state, payment.id as payment_id, payment.status as payment_status,
                    (extract(epoch from payment.settled_at) * 1000)::float8 as captured_ms
             from unnest($1::uuid[]) as asked (id)
             join activations activation using (id)
             left join payments payment on payment.activation_id = activation.id
             where $2 or payment.status in ('captured', 'declined', 'voided')
               or activation.state in ('ServiceDenied', 'PaymentFailed', 'NoCharge')`,
      values: [[...underWay.keys()], everything],
    });
    return rows.map((row) => ({
      activationId: row.id,
      intendedMs: underWay.get(row.id)?.intendedMs ?? 0,
      state: row.state,
      paymentId: row.payment_id,
      paymentStatus: row.payment_status,
      capturedMs: row.payment_status === "captured" ? row.captured_ms : null,
    }));
  }

  return async function buy({ count, load }: Order): Promise<Bought> {
    const purchases: Purchase[] = [];
    const refused: Record<string, number> = {};
    const underWay = new Map<string, UnderWay>();
    const startedMs = nowMs();
    let isSelling = true;

    async function buyOne(intendedMs: number): Promise<void> {
      const buyer = ring[next % ring.length];
      next += 1;
      if (buyer === undefined) throw new Error("nobody can buy");
      const serviceId = setUp.serviceIds[buyer.bought];
      if (serviceId === undefined) throw new Error("the catalogue has no service left for this car");
      buyer.bought += 1;
      const answer = await post(buyer.vehicleId, buyer.token, serviceId);
      if (typeof answer === "number") {
        refused[answer] = (refused[answer] ?? 0) + 1;
        return;
      }
      await new Promise<void>((ended) => underWay.set(answer, { intendedMs, ended }));
    }

    async function watch(): Promise<void> {
      let movedMs = nowMs();
      while (isSelling || underWay.size > 0) {
        await delay(lookEveryMs);
        const silent = nowMs() - movedMs > (stopped ? 3_000 : silenceMs);
        const ended = await look(underWay, silent);
        if (ended.length > 0 || underWay.size === 0) movedMs = nowMs();
        for (const purchase of ended) {
          purchases.push(purchase);
          underWay.get(purchase.activationId)?.ended();
          underWay.delete(purchase.activationId);
        }
      }
    }

    const watching = watch();
    if (load.kind === "underWay") {
      let left = count;
      const customer = async () => {
        while (left > 0 && !stopped) {
          left -= 1;
          await buyOne(nowMs());
        }
      };
      await Promise.all(Array.from({ length: load.underWay }, customer));
    } else {
      const all: Promise<void>[] = [];
      for (let index = 0; index < count && !stopped; index += 1) {
        const dueMs = startedMs + (index / load.perSecond) * 1000;
        await delay(Math.max(0, dueMs - nowMs()));
        all.push(buyOne(dueMs));
      }
      await Promise.all(all);
    }
    isSelling = false;
    await watching;
    return { kind: "bought", purchases, refused, startedMs, endedMs: nowMs() };
  };
}

let buy: ((order: Order) => Promise<Bought>) | undefined;

async function obey(message: unknown): Promise<void> {
  if (message === "stop") {
    stopped = true;
    return;
  }
  const setUp = setUpSchema.safeParse(message);
  if (setUp.success) {
    buy = await createBuying(setUp.data);
    process.send?.({ kind: "ready" });
    return;
  }
  process.send?.(await buy?.(orderSchema.parse(message)));
}

// ^C at a terminal reaches us too, and is for the benchmark to answer.
process.on("SIGINT", () => undefined);
process.on("disconnect", () => process.exit(0));
process.on("message", (message) => {
  obey(message).catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  });
});
