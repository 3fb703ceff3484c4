import { createHash, X509Certificate } from "node:crypto";
import type { Db, Reader } from "../store/database.ts";

// A car believes only what the root that it pinned has signed, and its certificate opens only a broker that trusts the
// authority that issued it. Both are in one folder; the database remembers which, so that an empty folder, or another
// one, never takes their place unnoticed.

/** What the present folder of keys holds. */
export type HeldTrust = { rootPublicKey: string; caCertificate: string };

export class OtherTrustRoot extends Error {}

/** Marks the row of what cars trust. Not secret. */
export function markOfAuthority(caCertificate: string): string {
  return createHash("sha256").update(new X509Certificate(caCertificate).raw).digest("base64url");
}

/**
 * Records what cars trust at the first start, and compares it at every later one.
 * @throws OtherTrustRoot where cars were enrolled, or built, under other keys.
 */
export async function holdTrustRoot(
  db: Db,
  held: HeldTrust,
  { folder, now }: { folder: string; now: Date },
): Promise<void> {
  const known = await db.selectFrom("trust_root").select(["public_key", "authority"]).executeTakeFirst();
  const authority = markOfAuthority(held.caCertificate);
  const isSame =
    known === undefined
      ? await issuedTheNewest(db, held.caCertificate)
      : known.public_key === held.rootPublicKey && known.authority === authority;
  if (!isSame && (await someCarTrusts(db)))
    throw new OtherTrustRoot(
      `the folder of keys ${folder} (KEYS_DIR) holds other keys than those that the cars of this database trust: ` +
        "every car would be locked out. Restore the whole folder from its back-up, in place of what is in it now. " +
        "To begin anew on purpose, with a new enrolment package for every car, run `caas-keys adopt`.",
    );
  if (known === undefined || !isSame) await adoptTrustRoot(db, held, now);
}

/** The keys of this folder are right, whatever was known before. */
export async function adoptTrustRoot(db: Db, held: HeldTrust, now: Date): Promise<void> {
  const row = {
    public_key: held.rootPublicKey,
    authority: markOfAuthority(held.caCertificate),
    recorded_at: now,
  };
  await db
    .insertInto("trust_root")
    .values(row)
    .onConflict((conflict) => conflict.column("one").doUpdateSet(row))
    .execute();
}

/** A package that the factory has was made for one root, too. */
async function someCarTrusts(reader: Reader): Promise<boolean> {
  const enrolled = await reader.selectFrom("certificates").select("serial_number").executeTakeFirst();
  const built = await reader
    .selectFrom("enrolment_tokens")
    .select("vehicle_id")
    .where("handed_over_at", "is not", null)
    .executeTakeFirst();
  return enrolled !== undefined || built !== undefined;
}

/** Of a database that an earlier version wrote: whether its newest certificate comes from this authority. */
async function issuedTheNewest(reader: Reader, caCertificate: string): Promise<boolean> {
  const newest = await reader
    .selectFrom("certificates")
    .select("pem")
    .orderBy("issued_at", "desc")
    .executeTakeFirst();
  if (newest === undefined) return true;
  try {
    return new X509Certificate(newest.pem).verify(new X509Certificate(caCertificate).publicKey);
  } catch {
    // Not ours to judge: no certificate at all opens nothing.
    return true;
  }
}
