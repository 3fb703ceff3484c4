import { createHash, createPrivateKey, createPublicKey, randomBytes } from "node:crypto";
import { carPassword } from "@caas/contract/car-password.ts";
import { dayMs } from "@caas/contract/durations.ts";
import { exportPublicKey } from "@caas/contract/jws.ts";
import { emptyManifestHash } from "@caas/contract/manifest.ts";
import type { Vin } from "@caas/contract/vin.ts";
import type { CertificateAuthority } from "@caas/control-plane/fleet-link/certificate-authority.ts";
import type { KeyRing } from "@caas/control-plane/fleet-link/key-ring.ts";
import { newId } from "@caas/control-plane/store/ids.ts";
import type { CarCredentials } from "@caas/simulator/fleet/credentials.ts";
import { assignVin } from "@caas/simulator/stand-ins/factory/assign-vin.ts";
import { makeCarKeys, tlsPublicKeyOf } from "@caas/vehicle-agent/identity/keys.ts";
import type pg from "pg";
import { withClient } from "./database.ts";

// Thousands of cars as if they had been sold, built, delivered and linked: through REST each takes about 50 ms,
// and a load test is about what comes afterwards.

export type SeedFleetOptions = {
  databaseUrl: string;
  count: number;
  /** The factory's own cars begin at 1; these at 500,001, so that both fit into one database. */
  firstSerial?: number;
  /** This many of them can connect; the others only fill the tables. Default: all. */
  connectable?: number;
  keyRing: Pick<KeyRing, "rootPublicKey" | "keySetToken" | "keySet">;
  /** Where cars connect; `carSecret` makes their passwords, `null` leaves TLS only. */
  broker: { url: string; carSecret: string | null };
  controlPlaneUrl: string;
  /** Certifies their TLS keys, about a millisecond each; without it they connect by password. */
  authority?: Pick<CertificateAuthority, "caCertificate" | "issueForCar">;
  /** Business time. */
  now: Date;
};

export type SeededCar = {
  vehicleId: string;
  vin: Vin;
  /** Of its owner; each car has another one. */
  customerId: string;
  email: string;
  /** Everything its agent needs; `null` for a car that cannot connect. */
  credentials: CarCredentials | null;
};

const firstSeededSerial = 500_001;
/** Rows in one statement: more than a few thousand gain nothing. */
const batchRows = 5_000;
/** As the factory's tokens. */
const tokenDays = 180;

type Row = SeededCar & {
  serial: number;
  proofPublicKey: string | null;
  tlsKeyThumbprint: string | null;
  serialNumber: string | null;
};

/**
 * Puts `count` Operational, linked and enrolled cars, each with its owner, into a migrated database. Their
 * configuration is the factory's: no entitlement, version 0.
 * @throws the database's error, when one of the VINs is there already; whole batches before it stay.
 */
export async function seedFleet(options: SeedFleetOptions): Promise<SeededCar[]> {
  const { count, connectable = count, firstSerial = firstSeededSerial } = options;
  const cars: SeededCar[] = [];
  await withClient(options.databaseUrl, async (client) => {
    for (let from = 0; from < count; from += batchRows) {
      const rows: Row[] = [];
      for (let index = from; index < Math.min(count, from + batchRows); index += 1)
        rows.push(await makeRow(options, firstSerial + index, index < connectable));
      await insert(client, rows, options);
      for (const { vehicleId, vin, customerId, email, credentials } of rows)
        cars.push({ vehicleId, vin, customerId, email, credentials });
    }
    // Plans made for empty tables would be measured otherwise.
    await client.query("analyze customers, vehicles, vehicle_links, enrolment_tokens");
  });
  return cars;
}

async function makeRow(options: SeedFleetOptions, serial: number, isConnectable: boolean): Promise<Row> {
  const { broker, keyRing, authority, controlPlaneUrl } = options;
  const vin = assignVin(serial);
  const email = `owner-${serial}@cars.example`;
  const car = { vehicleId: newId(), vin, customerId: newId(), email, serial };
  if (!isConnectable)
    return { ...car, credentials: null, proofPublicKey: null, tlsKeyThumbprint: null, serialNumber: null };
  const keys = makeCarKeys();
  const issued = await authority?.issueForCar(vin, tlsPublicKeyOf(keys.tlsKeyPem));
  const tlsKey = createPublicKey(createPrivateKey(keys.tlsKeyPem)).export({ format: "der", type: "spki" });
  return {
    ...car,
    proofPublicKey: exportPublicKey(createPrivateKey(keys.proofKeyPem)),
    tlsKeyThumbprint: createHash("sha256").update(tlsKey).digest("base64url"),
    serialNumber: issued?.serialNumber ?? null,
    credentials: {
      ...keys,
      vin,
      rootPublicKey: keyRing.rootPublicKey,
      controlPlaneUrl,
      certificate: issued?.pem ?? "",
      brokerCa: authority?.caCertificate ?? "",
      broker: {
        url: broker.url,
        username: vin,
        password: broker.carSecret === null ? null : carPassword(broker.carSecret, vin),
      },
      keySet: keyRing.keySetToken,
    },
  };
}

async function insert(client: pg.Client, rows: readonly Row[], options: SeedFleetOptions): Promise<void> {
  const { now, keyRing } = options;
  const customerIds = rows.map(({ customerId }) => customerId);
  const vehicleIds = rows.map(({ vehicleId }) => vehicleId);
  const vins = rows.map(({ vin }) => vin);
  const proofs = rows.map(({ proofPublicKey }) => proofPublicKey);
  await client.query("begin");
  try {
    await client.query(
      `insert into customers (id, name, email, phone, address, created_at)
       select id, 'Owner of car ' || serial, email, '+34600' || serial,
              '{"street": "Calle Mayor 1", "city": "Madrid", "postalCode": "28013", "country": "ES"}', $4
       from unnest($1::uuid[], $2::text[], $3::integer[]) as given (id, email, serial)`,
      [customerIds, rows.map(({ email }) => email), rows.map(({ serial }) => serial), now],
    );
    await client.query(
      `insert into vehicles (id, vin, state, owner_customer_id, reservation_paid, factory_order_placed,
         manufacturing_complete, final_payment, registration, transport, physically_delivered, app_linked_at,
         created_at)
       select id, vin, 'Operational', owner, true, true, true, 'received', 'recorded', 'arranged', true, $4, $4
       from unnest($1::uuid[], $2::text[], $3::uuid[]) as given (id, vin, owner)`,
      [vehicleIds, vins, customerIds, now],
    );
    await client.query(
      `insert into vehicle_links (vehicle_id, vin, proof_public_key, key_set_version, manifest_hash, active_hash)
       select id, vin, proof, case when proof is null then 0 else $4::integer end, $5, $5
       from unnest($1::uuid[], $2::text[], $3::text[]) as given (id, vin, proof)`,
      [vehicleIds, vins, proofs, keyRing.keySet.version, emptyManifestHash],
    );
    await client.query(
      `insert into enrolment_tokens (vehicle_id, vin, token_hash, expires_at, used_at, tls_key_thumbprint,
         proof_public_key, certificate, serial_number, handed_over_at)
       select id, vin, token, $8, case when proof is null then null else $9::timestamptz end, thumbprint, proof,
              certificate, serial, $9
       from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
         as given (id, vin, token, thumbprint, proof, certificate, serial)`,
      [
        vehicleIds,
        vins,
        // Hashes of tokens that do not exist: these cars are enrolled, or never will be.
        rows.map(() => randomBytes(32).toString("base64url")),
        rows.map(({ tlsKeyThumbprint }) => tlsKeyThumbprint),
        proofs,
        rows.map(({ credentials }) => credentials?.certificate ?? null),
        rows.map(({ serialNumber }) => serialNumber),
        new Date(now.getTime() + tokenDays * dayMs),
        now,
      ],
    );
    await client.query("commit");
  } catch (error) {
    await client.query("rollback");
    throw error;
  }
}
