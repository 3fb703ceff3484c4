import * as z from "zod";
import { addQuery, type Routing } from "../../http/routes.ts";
import { activationMachine, factsBeforePurchase } from "../../rules/activation-machine.ts";
import { decide } from "../../rules/interpreter.ts";
import { decideMaintenanceGate, type MaintenanceStatus } from "../../rules/maintenance-gate.ts";
import type { Reader } from "../../store/database.ts";
import type { Advice, Advise } from "./maintenance-advice.ts";

const serviceSchema = z.object({
  id: z.uuid(),
  code: z.string(),
  name: z.string(),
  description: z.string(),
  priceCents: z.int(),
  currency: z.string(),
  durationDays: z.int(),
  dependsOnMaintenance: z.boolean(),
});

const vehicleServiceSchema = serviceSchema.extend({
  /** `active`: on in this car now; `pending`: bought and on its way. */
  standing: z.enum(["available", "pending", "active"]),
  /** What the maintenance check would say now; the binding check follows the selection. */
  advice: z.object({ eligible: z.boolean(), reason: z.string() }),
});

/** `GET /api/catalog/services` and `GET /api/vehicles/:vehicleId/catalog`. */
export function catalogRoutes(advise: Advise, routing: Routing): void {
  addQuery(routing, {
    url: "/api/catalog/services",
    tag: "catalogue",
    summary: "List the services",
    answer: z.object({ services: z.array(serviceSchema) }),
    async run(db) {
      return { kind: "done", answer: { services: await listServices(db) } };
    },
  });
  addQuery(routing, {
    url: "/api/vehicles/:vehicleId/catalog",
    tag: "catalogue",
    summary: "Browse the services for a car",
    description:
      "With price, term, what is active already, and whether maintenance would allow it; that advice is at most five minutes old and binds nobody.",
    params: z.strictObject({ vehicleId: z.uuid() }),
    answer: z.object({
      vehicleId: z.uuid(),
      maintenance: z.object({
        status: z.enum(["current", "overdue", "unavailable", "unknown"]),
        checkedAt: z.iso.datetime().nullable(),
      }),
      services: z.array(vehicleServiceSchema),
    }),
    async run(db, { params: { vehicleId } }) {
      const car = await readCar(db, vehicleId);
      const advice = car.vin === null ? null : await advise(car.vin, car.heard);
      const status = advice?.status ?? "unknown";
      const standings = await loadStandings(db, vehicleId);
      const services = (await listServices(db)).map((service) => {
        const { dependsOnMaintenance } = service;
        const facts = factsBeforePurchase({ ...car, serviceDependsOnMaintenance: dependsOnMaintenance });
        const begins = decide(activationMachine, "start", "serviceSelected", facts);
        const { passes, reason } = decideMaintenanceGate(service, status);
        return {
          ...service,
          standing: standings.get(service.id) ?? ("available" as const),
          advice:
            begins.kind === "refused"
              ? { eligible: false, reason: begins.message }
              : { eligible: passes, reason },
        };
      });
      return {
        kind: "done",
        answer: {
          vehicleId,
          maintenance: { status, checkedAt: advice?.checkedAt.toISOString() ?? null },
          services,
        },
      };
    },
  });
}

async function listServices(db: Reader): Promise<z.infer<typeof serviceSchema>[]> {
  const rows = await db
    .selectFrom("catalog_services")
    .where("offered", "=", true)
    .orderBy("name")
    .selectAll()
    .execute();
  return rows.map((row) => ({
    id: row.id,
    code: row.code,
    name: row.name,
    description: row.description,
    priceCents: row.price_cents,
    currency: row.currency,
    durationDays: row.duration_days,
    dependsOnMaintenance: row.depends_on_maintenance,
  }));
}

/** What a purchase by the car's owner would be judged by, and the newest answer that one got from the workshops. */
async function readCar(db: Reader, vehicleId: string) {
  const { vin, state, app_linked_at } = await db
    .selectFrom("vehicles")
    .select(["vin", "state", "app_linked_at"])
    .where("id", "=", vehicleId)
    .executeTakeFirstOrThrow();
  const checked = await db
    .selectFrom("activations")
    .select(["maintenance_status as status", "maintenance_checked_at as checkedAt"])
    .where("vehicle_id", "=", vehicleId)
    .where("maintenance_status", "in", ["current", "overdue", "unknown"])
    .orderBy("maintenance_checked_at", "desc")
    .limit(1)
    .executeTakeFirst();
  return {
    vin,
    heard: heardIn(checked),
    vehicleOperational: state === "Operational",
    appLinked: app_linked_at !== null,
    requesterIsCurrentOwner: true,
  };
}

function heardIn(
  checked: { status: MaintenanceStatus | "notRequired" | null; checkedAt: Date | null } | undefined,
): Advice | null {
  const { status = null, checkedAt = null } = checked ?? {};
  return status === null || status === "notRequired" || checkedAt === null ? null : { status, checkedAt };
}

async function loadStandings(db: Reader, vehicleId: string): Promise<Map<string, "pending" | "active">> {
  const rows = await db
    .selectFrom("activations")
    .leftJoin("entitlements", "entitlements.id", "activations.entitlement_id")
    .where("activations.vehicle_id", "=", vehicleId)
    .where((where) =>
      where.or([where("activations.ended_at", "is", null), where("entitlements.state", "=", "proved")]),
    )
    .select(["activations.service_id", "activations.state"])
    .execute();
  return new Map(
    rows.map((row) => [row.service_id, row.state === "ServiceActive" ? "active" : "pending"] as const),
  );
}
