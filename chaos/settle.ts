import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import type { RehearsedPlatform } from "./rehearsed-platform.ts";

const lookEveryMs = 500;

/** Whether nothing is under way any more: every payment has ended, every car holds what it must. */
async function isSettled(client: pg.Client, rehearsed: RehearsedPlatform): Promise<boolean> {
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
  return (await rehearsed.show()).every(({ vin, hash }) => wanted.get(vin) === hash);
}

/** Waits until all is settled, or for `patienceMs`: what is not by then is the auditor's to name. */
export async function waitUntilSettled(
  rehearsed: RehearsedPlatform,
  patienceMs: number,
  signal: AbortSignal,
): Promise<boolean> {
  const giveUpAt = performance.now() + patienceMs;
  const client = new pg.Client({ connectionString: rehearsed.databaseUrl });
  client.on("error", () => undefined);
  await client.connect();
  try {
    while (!signal.aborted && performance.now() < giveUpAt) {
      if (await isSettled(client, rehearsed)) return true;
      await delay(lookEveryMs, undefined, { signal }).catch(() => undefined);
    }
    return false;
  } finally {
    await client.end();
  }
}
