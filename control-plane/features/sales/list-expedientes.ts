import { sql } from "kysely";
import type * as z from "zod";
import type { Principal } from "../../http/principal.ts";
import type { Db } from "../../store/database.ts";
import type { expedienteSummarySchema } from "./record-schema.ts";

export type ExpedienteSummary = z.input<typeof expedienteSummarySchema>;

export type ListFilter = {
  status?: ExpedienteSummary["status"];
  vehicleState?: string;
  /** Part of a reference, a VIN, a buyer's name or e-mail address. */
  search?: string;
  /** The last id of the page before. */
  after?: string;
  limit: number;
};

/** Newest first: a customer's own, an employee's dealership's, all of them for admin and support. */
export async function listExpedientes(
  db: Db,
  principal: Principal,
  filter: ListFilter,
): Promise<{ expedientes: ExpedienteSummary[]; next: string | null }> {
  let query = db
    .selectFrom("expedientes")
    .innerJoin("customers", "customers.id", "expedientes.customer_id")
    .innerJoin("vehicles", "vehicles.id", "expedientes.vehicle_id")
    .selectAll("expedientes")
    .select(["customers.email", "vehicles.state"])
    // Ids grow with time.
    .orderBy("expedientes.id", "desc")
    .limit(filter.limit + 1);
  if (principal.kind === "customer")
    query = query.where("expedientes.customer_id", "=", principal.customerId);
  else if (principal.role === "sales")
    query = query.where("expedientes.dealership_id", "=", principal.dealershipId);
  if (filter.status !== undefined) query = query.where("expedientes.status", "=", filter.status);
  // Any text may be asked for; a state that does not exist is in no row.
  if (filter.vehicleState !== undefined)
    query = query.where(sql<string>`vehicles.state`, "=", filter.vehicleState);
  if (filter.after !== undefined) query = query.where("expedientes.id", "<", filter.after);
  if (filter.search !== undefined) {
    const part = `%${filter.search.replaceAll(/[\\%_]/g, "\\$&")}%`;
    query = query.where((or) =>
      or.or([
        or("expedientes.reference", "ilike", part),
        or("expedientes.vin", "ilike", part),
        or(sql<string>`expedientes.buyer ->> 'name'`, "ilike", part),
        or("customers.email", "ilike", part),
      ]),
    );
  }
  const rows = await query.execute();
  const page = rows.slice(0, filter.limit);
  return {
    expedientes: page.map((row) => ({
      id: row.id,
      reference: row.reference,
      status: row.status,
      soldAt: row.created_at.toISOString(),
      customer: { name: row.buyer.name, email: row.email },
      plan: row.plan_comercial.base.code,
      priceCents: row.price_cents,
      currency: row.currency,
      vehicleId: row.vehicle_id,
      vin: row.vin,
      vehicleState: row.state,
    })),
    next: rows.length > filter.limit ? (page.at(-1)?.id ?? null) : null,
  };
}
