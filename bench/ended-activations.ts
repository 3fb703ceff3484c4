import { stepsChannel } from "@caas/control-plane/lifecycle/record-step.ts";
import { type OpenDatabase, openDatabase } from "@caas/control-plane/store/database.ts";
import { newId } from "@caas/control-plane/store/ids.ts";
import pg from "pg";

/** How an activation went, by the real times of its steps. */
export type Measured = {
  state: string;
  attempts: number;
  /** The hold's authorisation recorded → the car's signed report recorded; `null` when it was never proved. */
  latencyMs: number | null;
};

export type EndedActivations = {
  /** Resolves when all of these have ended; at once when `signal` aborts. */
  untilEnded(activationIds: readonly string[], signal: AbortSignal): Promise<void>;
  measure(activationIds: readonly string[]): Promise<Measured[]>;
  /** Puts services into the catalogue that only a benchmark buys; their ids. */
  addServices(count: number): Promise<string[]>;
  close(): Promise<void>;
};

/**
 * Looks at the database directly: following each car over REST, as its owner would, would be most of the load.
 * A step's own clock is read inside its transaction, right before the commit, at both ends.
 */
export async function watchEndedActivations(databaseUrl: string): Promise<EndedActivations> {
  const opened = openDatabase(databaseUrl, 2, () => undefined);
  const bell = new pg.Client({ connectionString: databaseUrl });
  await bell.connect();
  await bell.query(`listen ${stepsChannel}`);
  const pending = new Map<string, (() => void)[]>();
  let isLooking = false;
  let rangMeanwhile = false;

  async function look(): Promise<void> {
    rangMeanwhile = isLooking;
    if (isLooking || pending.size === 0) return;
    isLooking = true;
    const ended = await selectEnded(opened, [...pending.keys()]);
    isLooking = false;
    for (const id of ended) {
      for (const wake of pending.get(id) ?? []) wake();
      pending.delete(id);
    }
    if (rangMeanwhile) await look();
  }
  bell.on("notification", () => void look());

  return {
    async untilEnded(activationIds, signal) {
      const all = activationIds.map(
        (id) =>
          new Promise<void>((resolve) => {
            pending.set(id, [...(pending.get(id) ?? []), resolve]);
            signal.addEventListener("abort", () => resolve(), { once: true });
            if (signal.aborted) resolve();
          }),
      );
      // It may have ended before anybody waited for it.
      await look();
      await Promise.all(all);
    },
    measure: (activationIds) => selectMeasured(opened, activationIds),
    addServices: (count) => insertServices(opened, count),
    async close() {
      await bell.end();
      await opened.close();
    },
  };
}

async function selectEnded({ db }: OpenDatabase, ids: readonly string[]): Promise<string[]> {
  const rows = await db
    .selectFrom("activations")
    .where("id", "in", [...ids])
    .where("ended_at", "is not", null)
    .select("id")
    .execute();
  return rows.map(({ id }) => id);
}

type MeasuredRow = { state: string; attempts_used: number; latency_ms: number | null };

async function selectMeasured({ pool }: OpenDatabase, ids: readonly string[]): Promise<Measured[]> {
  const { rows } = await pool.query<MeasuredRow>(
    `select activation.state, activation.attempts_used,
            (extract(epoch from proved.recorded_at - held.recorded_at) * 1000)::float8 as latency_ms
     from activations activation
     left join steps held on held.activation_id = activation.id and held.event = 'paymentAuthorised'
     left join steps proved on proved.activation_id = activation.id and proved.event = 'activationConfirmed'
     where activation.id = any($1::uuid[])`,
    [ids],
  );
  return rows.map((row) => ({ state: row.state, attempts: row.attempts_used, latencyMs: row.latency_ms }));
}

async function insertServices({ db }: OpenDatabase, count: number): Promise<string[]> {
  const services = Array.from({ length: count }, (_, index) => ({
    id: newId(),
    code: `bench${index}`,
    name: `Bench service ${index}`,
    description: "Bought by a benchmark.",
    price_cents: 100,
    currency: "EUR",
    duration_days: 30,
    configuration: JSON.stringify({ level: index, zones: ["left", "right"] }),
  }));
  await db.insertInto("catalog_services").values(services).execute();
  return services.map(({ id }) => id);
}
