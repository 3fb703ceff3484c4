import { Kysely, PostgresDialect } from "kysely";
import { type Migration, Migrator } from "kysely/migration";
import pg from "pg";
import * as accounts from "./migrations/0001-accounts.ts";
import * as sales from "./migrations/0002-sales.ts";
import * as billing from "./migrations/0003-billing.ts";
import * as services from "./migrations/0004-services.ts";
import * as platform from "./migrations/0005-platform.ts";
import * as certificates from "./migrations/0006-certificates.ts";
import * as uncertainPayments from "./migrations/0007-uncertain-payments.ts";
import * as quickJobs from "./migrations/0008-quick-jobs.ts";
import * as rollOutRows from "./migrations/0009-roll-out-rows.ts";
import * as finalPaymentTerms from "./migrations/0010-final-payment-terms.ts";
import * as oneQueue from "./migrations/0011-one-queue.ts";
import * as signIn from "./migrations/0012-sign-in.ts";
import * as buyers from "./migrations/0013-buyers.ts";
import * as confirmedPayments from "./migrations/0014-confirmed-payments.ts";
import * as whatTheGatewayDid from "./migrations/0015-what-the-gateway-did.ts";
import * as partnersHeard from "./migrations/0016-partners-heard.ts";
import * as identities from "./migrations/0017-identities.ts";
import * as checkByVin from "./migrations/0018-check-by-vin.ts";
import * as ledgerCheckedByStatement from "./migrations/0019-ledger-checked-by-statement.ts";
import { refuseOtherSchema } from "./schema-check.ts";

const migrations: Record<string, Migration> = {
  "0001-accounts": accounts,
  "0002-sales": sales,
  "0003-billing": billing,
  "0004-services": services,
  "0005-platform": platform,
  "0006-certificates": certificates,
  "0007-uncertain-payments": uncertainPayments,
  "0008-quick-jobs": quickJobs,
  "0009-roll-out-rows": rollOutRows,
  "0010-final-payment-terms": finalPaymentTerms,
  "0011-one-queue": oneQueue,
  "0012-sign-in": signIn,
  "0013-buyers": buyers,
  "0014-confirmed-payments": confirmedPayments,
  "0015-what-the-gateway-did": whatTheGatewayDid,
  "0016-partners-heard": partnersHeard,
  "0017-identities": identities,
  "0018-check-by-vin": checkByVin,
  "0019-ledger-checked-by-statement": ledgerCheckedByStatement,
};

/**
 * Brings the database at `url` to the newest schema. Replicas that start together wait for each other: the migrator
 * holds a lock.
 * @throws SchemaRefused before anything is written, where the database is of a newer version or not ours; the
 * database's error, with the migration's name, when one fails: those before it stay.
 */
export async function migrateToLatest(url: string): Promise<void> {
  const pool = new pg.Pool({ connectionString: url, max: 2 });
  // A broken connection fails the migrator's own query.
  pool.on("error", () => undefined);
  pool.on("connect", (client) => client.on("error", () => undefined));
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
  try {
    await refuseOtherSchema(db, Object.keys(migrations).toSorted());
    const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations } });
    const { error, results } = await migrator.migrateToLatest();
    if (error !== undefined) {
      const failed =
        results?.find((result) => result.status === "Error")?.migrationName ?? "before the first";
      throw new Error(`migration ${failed} failed`, { cause: error });
    }
  } finally {
    await db.destroy();
  }
}
