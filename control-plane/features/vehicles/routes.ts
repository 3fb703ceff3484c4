import * as z from "zod";
import { refuse } from "../../http/refusal.ts";
import { addQuery, type Routing } from "../../http/routes.ts";
import { bindingSaleStatuses } from "../../rules/statuses.ts";
import type { Reader } from "../../store/database.ts";

export const vehicleSchema = z
  .object({
    id: z.uuid(),
    vin: z.string().nullable(),
    state: z.string(),
    expedienteReference: z.string().nullable(),
    appLinkedAt: z.iso.datetime().nullable(),
    link: z
      .object({
        presence: z.enum(["unknown", "online", "offline"]),
        manifestVersion: z.int(),
        activeVersion: z.int(),
        /** Whether the car holds exactly what it should, as its last report says. */
        converged: z.boolean(),
        changeUnderWay: z.boolean(),
      })
      .nullable(),
  })
  .meta({ id: "Vehicle" });

type Vehicle = z.infer<typeof vehicleSchema>;

type Which = { id: string } | { customerId: string } | { dealershipId: string } | "all";

async function readVehicles(reader: Reader, which: Which, limit: number): Promise<Vehicle[]> {
  let query = reader
    .selectFrom("vehicles as vehicle")
    .leftJoin("vehicle_links as link", "link.vehicle_id", "vehicle.id")
    .leftJoin("expedientes as expediente", (join) =>
      join
        .onRef("expediente.vehicle_id", "=", "vehicle.id")
        .on("expediente.status", "in", bindingSaleStatuses),
    )
    .orderBy("vehicle.created_at", "desc")
    .limit(limit)
    .select([
      "vehicle.id",
      "vehicle.vin",
      "vehicle.state",
      "vehicle.app_linked_at",
      "expediente.reference",
      "link.presence",
      "link.manifest_version",
      "link.manifest_hash",
      "link.active_version",
      "link.active_hash",
      "link.unproved_version",
    ]);
  if (which !== "all") {
    if ("id" in which) query = query.where("vehicle.id", "=", which.id);
    else if ("customerId" in which)
      query = query.where((where) =>
        where.or([
          where("vehicle.owner_customer_id", "=", which.customerId),
          where.and([
            where("vehicle.owner_customer_id", "is", null),
            where("expediente.customer_id", "=", which.customerId),
          ]),
        ]),
      );
    else query = query.where("expediente.dealership_id", "=", which.dealershipId);
  }
  return (await query.execute()).map((row) => ({
    id: row.id,
    vin: row.vin,
    state: row.state,
    expedienteReference: row.reference,
    appLinkedAt: row.app_linked_at?.toISOString() ?? null,
    link:
      row.presence === null
        ? null
        : {
            presence: row.presence,
            manifestVersion: row.manifest_version ?? 0,
            activeVersion: row.active_version ?? 0,
            converged: row.manifest_hash === row.active_hash,
            changeUnderWay: row.unproved_version !== null,
          },
  }));
}

const vehicleParams = z.strictObject({ vehicleId: z.uuid() });

export function vehicleRoutes(routing: Routing): void {
  addQuery(routing, {
    url: "/api/vehicles",
    tag: "vehicles",
    summary: "List vehicles",
    description: "The customer's own, those sold by the employee's dealership, or all; newest first.",
    search: z.strictObject({ limit: z.coerce.number().int().min(1).max(500).default(100) }),
    answer: z.object({ vehicles: z.array(vehicleSchema) }),
    async run(db, { principal, search }) {
      const which: Which =
        principal.kind === "customer"
          ? { customerId: principal.customerId }
          : principal.role === "sales"
            ? { dealershipId: principal.dealershipId }
            : "all";
      return { kind: "done", answer: { vehicles: await readVehicles(db, which, search.limit) } };
    },
  });

  addQuery(routing, {
    url: "/api/vehicles/:vehicleId",
    tag: "vehicles",
    summary: "Read a vehicle",
    refuses: ["notFound"],
    params: vehicleParams,
    answer: vehicleSchema,
    async run(db, { params }) {
      const [vehicle] = await readVehicles(db, { id: params.vehicleId }, 1);
      return vehicle === undefined
        ? refuse("notFound", "there is no such vehicle")
        : { kind: "done", answer: vehicle };
    },
  });

  addQuery(routing, {
    url: "/api/vehicles/:vehicleId/manifest",
    tag: "vehicles",
    summary: "Read the manifest of a vehicle",
    refuses: ["notFound"],
    description: "The services the car must hold now, and those in its last report.",
    params: vehicleParams,
    answer: z.object({
      version: z.int(),
      hash: z.string(),
      entries: z.array(z.record(z.string(), z.unknown())),
      active: z.object({ version: z.int(), hash: z.string() }),
    }),
    async run(db, { params }) {
      const row = await db
        .selectFrom("vehicle_links as link")
        .leftJoin("manifests as manifest", (join) =>
          join
            .onRef("manifest.vehicle_id", "=", "link.vehicle_id")
            .onRef("manifest.version", "=", "link.manifest_version"),
        )
        .where("link.vehicle_id", "=", params.vehicleId)
        .select([
          "link.manifest_version",
          "link.manifest_hash",
          "link.active_version",
          "link.active_hash",
          "manifest.entries",
        ])
        .executeTakeFirst();
      if (row === undefined) return refuse("notFound", "this vehicle has no VIN and no manifest yet");
      return {
        kind: "done",
        answer: {
          version: row.manifest_version,
          hash: row.manifest_hash,
          entries: z.array(z.record(z.string(), z.unknown())).parse(row.entries ?? []),
          active: { version: row.active_version, hash: row.active_hash },
        },
      };
    },
  });
}
