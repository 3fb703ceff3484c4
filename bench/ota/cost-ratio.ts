import { realClock } from "@caas/contract/business-clock.ts";
import { withClient } from "../../lab/database.ts";
import { seedPlatform, withSeededPlatform } from "../../lab/seeded-platform.ts";
import type { Platform } from "../../start/platform.ts";
import { listTree, readProcessorTime, readStat, unlessEnded } from "../../start/processes.ts";
import type { Frame } from "../frame.ts";
import { confidenceOf, median, medianOf, onePart } from "../statistics.ts";
import { openRollOutDriver } from "./roll-out-driver.ts";

// What a change costs beside a thousand cars and beside a hundred thousand: two whole platforms at once, the same
// number of cars connected to each, and changes rolled out to them in turns, so that any other load of the machine
// falls on both. The other cars only fill the tables; they are not connected, like most of a fleet at any moment.

export type CostRatio = {
  /** Median over the pairs of µs a change in the filled platform, divided by the other's. */
  ratio: number;
  /** Its 95 % confidence interval, by the order statistics of the pairs. */
  low: number;
  high: number;
  pairs: number;
  changesAHalf: number;
  /** µs of processor time per change, medians, by part. */
  few: Cost;
  many: Cost;
  /** What they come from. */
  halves: readonly Pair[];
};

export type Pair = { few: Cost; many: Cost };
type Cost = Record<(typeof parts)[number], number>;
const parts = ["controlPlane", "postgres", "broker", "driver"] as const;

export type CostRatioOptions = { connected: number; filled: number; pairs: number; seed: number };

/** Serial numbers of cars that only fill the tables; the connected ones begin at 500,001. */
const firstFiller = 600_001;
const changesACar = 3;
const fillBatch = 10_000;

/** @returns `null` where there is no /proc, or when the run was stopped before its first pair */
export async function measureCostRatio(options: CostRatioOptions, frame: Frame): Promise<CostRatio | null> {
  if (process.platform !== "linux") return null;
  return withInstallation(options, options.connected, frame, (few) =>
    withInstallation(options, options.filled, frame, (many) => compare(few, many, options, frame)),
  );
}

async function compare(
  few: Installation,
  many: Installation,
  options: CostRatioOptions,
  frame: Frame,
): Promise<CostRatio | null> {
  const changes = options.connected * changesACar;
  // Plans, caches and compiled code: both as they are after a while.
  for (const one of [few, many, few, many]) await one.rollOut(changes);
  const pairs: Pair[] = [];
  const progress = frame.startProgress("pairs of halves", options.pairs);
  for (let pair = 0; pair < options.pairs && !frame.signal.aborted; pair += 1) {
    const [first, second] = pair % 2 === 0 ? [few, many] : [many, few];
    const costOfFirst = await first.rollOut(changes);
    const costOfSecond = await second.rollOut(changes);
    pairs.push(
      first === few ? { few: costOfFirst, many: costOfSecond } : { few: costOfSecond, many: costOfFirst },
    );
    progress.advance();
  }
  progress.end();
  return costRatioOf(pairs, changes);
}

/** @returns `null` without a pair */
export function costRatioOf(pairs: readonly Pair[], changesAHalf: number): CostRatio | null {
  if (pairs.length === 0) return null;
  const ratios = pairs.map((pair) => total(pair.many) / total(pair.few)).sort((a, b) => a - b);
  const { low, high } = confidenceOf(ratios);
  return {
    ratio: median(ratios),
    low,
    high,
    pairs: pairs.length,
    changesAHalf,
    few: medianCost(pairs.map((pair) => pair.few)),
    many: medianCost(pairs.map((pair) => pair.many)),
    halves: pairs,
  };
}

type Installation = {
  /** Rolls this many changes out, one at a time per car, and returns what each cost. */
  rollOut(changes: number): Promise<Cost>;
};

/** @param cars in the tables; those that are not connected only fill them */
function withInstallation<T>(
  { connected, seed }: CostRatioOptions,
  cars: number,
  frame: Frame,
  work: (installation: Installation) => Promise<T>,
): Promise<T> {
  return withSeededPlatform({ ...frame, cars: connected, seed }, async ({ platform, pids, failures }) => {
    const driver = await openRollOutDriver(platform.databaseUrl, frame.signal, () => undefined);
    try {
      if (cars > connected) {
        frame.say(`Putting ${cars - connected} more cars into the tables`);
        await fill(platform, cars - connected);
      }
      const roots = {
        controlPlane: pids.get("control-plane") ?? 0,
        postgres: await settleDatabase(platform.databaseUrl),
        broker: pids.get("broker") ?? 0,
      };
      const shape = { wave: Math.ceil(connected / 4), underWay: Math.ceil(connected / 2) };
      return await work({
        async rollOut(changes) {
          const before = readTimes(roots);
          const { changes: done } = await driver.rollOut(changes, shape);
          const after = readTimes(roots);
          return costBetween(before, after, done);
        },
      });
    } finally {
      for (const failure of failures) frame.say(failure);
      await driver.close();
    }
  });
}

/** Cars that hold what they must and are asleep: each with its owner, one version, its proof and its entitlement. */
async function fill(platform: Platform, count: number): Promise<void> {
  const cars = { count, firstSerial: firstFiller, connectable: 0 };
  await seedPlatform(platform, { ...cars, isTls: false, clock: realClock });
  await withClient(platform.databaseUrl, async (client) => {
    // Each of these cars has the same rows that a proved change of a connected car leaves.
    const { rows } = await client.query<{ columns: string }>(
      `select string_agg(quote_ident(column_name), ', ') as columns from information_schema.columns
       where table_schema = 'public' and table_name = 'plan_proofs' and column_name <> 'vehicle_id'`,
    );
    await client.query(
      "create temporary table filler as select vehicle_id from vehicle_links where proof_public_key is null",
    );
    const proof = rows[0]?.columns ?? "version";
    const sample = await client.query<{ vehicle_id: string }>("select vehicle_id from plan_proofs limit 1");
    for (let from = 0; from < count; from += fillBatch) {
      const some = `(select vehicle_id from filler order by vehicle_id offset ${from} limit ${fillBatch})`;
      await client.query(
        `insert into entitlements (id, vehicle_id, source, code, configuration, state, created_at, proved_at)
         select gen_random_uuid(), vehicle_id, 'plan', 'release', '{"release": 1}', 'proved', now(), now() from ${some} f`,
      );
      await client.query(
        `insert into manifests (vehicle_id, version, hash, entries, created_at)
         select vehicle_id, 1, 'h', '[]', now() from ${some} f`,
      );
      await client.query(
        `insert into steps (vehicle_id, event, automatic, actor_kind, actor_id, at)
         select vehicle_id, 'planApplied', true, 'vehicle', vehicle_id::text, now() from ${some} f`,
      );
      if (sample.rows[0] !== undefined)
        await client.query(
          `insert into plan_proofs (vehicle_id, ${proof})
           select f.vehicle_id, ${proof} from ${some} f, (select * from plan_proofs where vehicle_id = $1 limit 1) p`,
          [sample.rows[0].vehicle_id],
        );
      await client.query(
        `update vehicle_links set proof_public_key = 'of a car that only fills the table', key_set_version = 1,
           manifest_version = 1, manifest_hash = 'h', active_version = 1, active_hash = 'h', presence = 'offline',
           presence_connection = 1
         where vehicle_id in ${some}`,
      );
    }
  });
}

/** Cleans and measures the tables, as autovacuum would in its time. @returns the server's process, parent of all others */
async function settleDatabase(databaseUrl: string): Promise<number> {
  return withClient(databaseUrl, async (client) => {
    await client.query("vacuum analyze");
    const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid");
    return Number(readStat(rows[0]?.pid ?? 0)[1]);
  });
}

/** µs since they began, of each part with everything below it; the driver is this process. */
function readTimes(roots: Readonly<Record<"controlPlane" | "postgres" | "broker", number>>): Cost {
  const sum = (root: number) =>
    [...(listTree(root) ?? [])].reduce(
      (us, pid) => us + (unlessEnded(() => readProcessorTime(pid))?.own ?? 0),
      0,
    );
  return ofEachPart((part) =>
    part === "driver" ? (readProcessorTime(process.pid)?.own ?? 0) : sum(roots[part]),
  );
}

/** µs of each part between two readings, of one change. */
export function costBetween(before: Cost, after: Cost, changes: number): Cost {
  return ofEachPart((part) => onePart(after[part] - before[part], changes) ?? 0);
}

function total(cost: Cost): number {
  return parts.reduce((sum, part) => sum + cost[part], 0);
}

function medianCost(costs: readonly Cost[]): Cost {
  return ofEachPart((part) => Math.round(medianOf(costs.map((cost) => cost[part]))));
}

function ofEachPart(read: (part: keyof Cost) => number): Cost {
  return {
    controlPlane: read("controlPlane"),
    postgres: read("postgres"),
    broker: read("broker"),
    driver: read("driver"),
  };
}
