import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import type { World } from "./world.ts";

const lookEveryMs = 500;

/** Whether nothing is under way any more: every payment has ended, every car holds what it shall. */
async function isSettled(client: pg.Client, world: World): Promise<boolean> {
  const { rows } = await client.query<{ open: boolean }>(
    `select exists (select from activations where ended_at is null)
         or exists (select from payments where status in ('pending', 'authorised', 'presumed'))
         or exists (select from vehicle_links where unproved_version is not null
                    or active_hash <> manifest_hash) as open`,
  );
  if (rows[0]?.open !== false) return false;
  const { rows: links } = await client.query<{ vin: string; manifest_hash: string }>(
    "select vin, manifest_hash from vehicle_links",
  );
  const wanted = new Map(links.map((link) => [link.vin, link.manifest_hash]));
  return (await world.show()).every(({ vin, hash }) => wanted.get(vin) === hash);
}

/** Waits until all is settled, or for `patienceMs`: what is not by then is the auditor's to name. */
export async function waitUntilSettled(
  world: World,
  patienceMs: number,
  signal: AbortSignal,
): Promise<boolean> {
  const giveUpAt = performance.now() + patienceMs;
  const client = new pg.Client({ connectionString: world.databaseUrl });
  client.on("error", () => undefined);
  await client.connect();
  try {
    while (!signal.aborted && performance.now() < giveUpAt) {
      if (await isSettled(client, world)) return true;
      await delay(lookEveryMs, undefined, { signal }).catch(() => undefined);
    }
    return false;
  } finally {
    await client.end();
  }
}
