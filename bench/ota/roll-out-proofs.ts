import { unpackReport } from "@caas/contract/report-proof.ts";
import pg from "pg";
import type { RollOut } from "./roll-out-driver.ts";

// What a roll-out leaves in the database.

export type RollOutProofs = {
  /** Signed reports kept. */
  count(): Promise<number>;
  /** Cars whose last report is not of the manifest they must hold, or with something under way. */
  countOpen(): Promise<number>;
  /** When the proofs of each car since its beginning were recorded, in their order; ms of the machine's clock. */
  read(rollOut: Pick<RollOut, "startedMs">): Promise<ReadonlyMap<string, readonly number[]>>;
  /** Each table with its indexes and TOAST, after VACUUM, in bytes. */
  measureSizes(): Promise<Map<string, number>>;
  /** Of the newest manifests' entries and of the newest reports. */
  readSample(): Promise<{ vin: string; entries: unknown; reportBytes: number } | null>;
  close(): Promise<void>;
};

export async function openRollOutProofs(databaseUrl: string): Promise<RollOutProofs> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();

  async function readNumber(query: string): Promise<number> {
    const { rows } = await client.query<{ value: string }>(query);
    return Number(rows[0]?.value ?? 0);
  }

  return {
    count: () => readNumber("select count(*) as value from plan_proofs"),
    countOpen: () =>
      readNumber(
        `select count(*) as value from vehicle_links link
         left join manifest_dispatches dispatch using (vehicle_id)
         where link.active_hash <> link.manifest_hash or link.unproved_version is not null
            or dispatch.vehicle_id is not null`,
      ),
    async read({ startedMs }) {
      const { rows } = await client.query<{ vehicle_id: string; at_ms: number }>(
        `select vehicle_id, (extract(epoch from recorded_at) * 1000)::float8 as at_ms from steps
         where event = 'planApplied' and recorded_at >= to_timestamp($1::float8 / 1000) order by id`,
        [startedMs],
      );
      const proofs = new Map<string, number[]>();
      for (const row of rows) {
        const of = proofs.get(row.vehicle_id);
        if (of === undefined) proofs.set(row.vehicle_id, [row.at_ms]);
        else of.push(row.at_ms);
      }
      return proofs;
    },
    async measureSizes() {
      await client.query("vacuum");
      const { rows } = await client.query<{ name: string; bytes: string }>(
        `select n.nspname || '.' || c.relname as name, pg_total_relation_size(c.oid) as bytes from pg_class c
         join pg_namespace n on n.oid = c.relnamespace
         where c.relkind = 'r' and n.nspname not in ('pg_catalog', 'information_schema')`,
      );
      return new Map(rows.map(({ name, bytes }) => [name.replace("public.", ""), Number(bytes)]));
    },
    async readSample() {
      const { rows } = await client.query<{
        vin: string;
        proof_key: string;
        entries: unknown;
        report: Buffer;
      }>(
        `select link.vin, link.proof_public_key as proof_key, manifest.entries, proof.report
         from plan_proofs proof join vehicle_links link using (vehicle_id)
         join manifests manifest using (vehicle_id, version) order by proof.version desc limit 1`,
      );
      const [row] = rows;
      if (row === undefined) return null;
      // Kept in a fifth of its text: what went over the wire is the token that the car signed.
      const token = unpackReport(row.report, { vin: row.vin, proofKey: row.proof_key });
      return { vin: row.vin, entries: row.entries, reportBytes: Buffer.byteLength(token) };
    },
    close: () => client.end(),
  };
}
