import type { Clock } from "@caas/contract/business-clock.ts";
import { businessDay } from "@caas/contract/business-day.ts";
import { vinSchema } from "@caas/contract/vin.ts";
import * as z from "zod";
import type { PartnerStore } from "../shared/store.ts";

export const planSchema = z.strictObject({
  soldOn: z.iso.date(),
  planMonths: z.int().min(1).max(120),
  planKm: z.int().min(1).max(1_000_000),
});
export type Plan = z.infer<typeof planSchema>;

export const newServiceSchema = z.strictObject({
  reference: z.string().min(1).max(100),
  performedOn: z.iso.date(),
  odometerKm: z.int().min(0).max(10_000_000),
  workshop: z.string().min(1).max(200),
});
export type NewService = z.infer<typeof newServiceSchema>;

const vehicleSchema = z.object({
  vin: vinSchema,
  ...planSchema.shape,
  nextDueOn: z.iso.date(),
  nextDueKm: z.int(),
  lastServiceOn: z.iso.date().nullable(),
  lastServiceKm: z.int().nullable(),
});
export type Vehicle = z.infer<typeof vehicleSchema>;

const serviceSchema = z.object({ serviceId: z.string(), vin: vinSchema, ...newServiceSchema.shape });
export type Service = z.infer<typeof serviceSchema>;

export type Maintenance = {
  vin: string;
  status: "current" | "overdue";
  nextDueOn: string;
  nextDueKm: number;
  lastServiceOn: string | null;
};

/** The workshops' records. Days are calendar days, distances kilometres. */
export function openVehicleRecords(store: PartnerStore, clock: Clock) {
  const vehicles = store.collection("vehicles", vehicleSchema);
  const services = store.collection("services", serviceSchema, {
    reference: (service) => `${service.vin}/${service.reference}`,
  });
  const today = () => businessDay(clock.now());

  return {
    /** `undefined`: the workshops do not know the car. */
    maintenanceOf(vin: string): Maintenance | undefined {
      const vehicle = vehicles.get(vin);
      if (vehicle === undefined) return undefined;
      const { nextDueOn, nextDueKm, lastServiceOn } = vehicle;
      // ISO dates sort as they follow each other. On the due day itself the car is still current.
      return {
        vin,
        status: today() > nextDueOn ? "overdue" : "current",
        nextDueOn,
        nextDueKm,
        lastServiceOn,
      };
    },

    /** From here on the car is known. The same plan again changes nothing, another one counts from the last service. */
    register(vin: Vehicle["vin"], plan: Plan): Vehicle {
      return store.transaction(() => {
        const known = vehicles.get(vin);
        const isSame =
          known !== undefined &&
          known.soldOn === plan.soldOn &&
          known.planMonths === plan.planMonths &&
          known.planKm === plan.planKm;
        if (isSame) return known;
        const vehicle: Vehicle = {
          vin,
          ...plan,
          nextDueOn: addMonths(known?.lastServiceOn ?? plan.soldOn, plan.planMonths),
          nextDueKm: (known?.lastServiceKm ?? 0) + plan.planKm,
          lastServiceOn: known?.lastServiceOn ?? null,
          lastServiceKm: known?.lastServiceKm ?? null,
        };
        vehicles.put(vin, vehicle);
        return vehicle;
      });
    },

    /** A workshop's entry. One for each reference; `undefined`: the car is not known. */
    recordService(vin: Vehicle["vin"], entry: NewService): { isNew: boolean; service: Service } | undefined {
      return store.transaction(() => {
        const vehicle = vehicles.get(vin);
        if (vehicle === undefined) return undefined;
        const recorded = services.find("reference", `${vin}/${entry.reference}`)[0];
        if (recorded !== undefined) return { isNew: false, service: recorded };
        const service: Service = {
          serviceId: `svc_${String(store.nextNumber("services")).padStart(6, "0")}`,
          vin,
          ...entry,
        };
        services.put(service.serviceId, service);
        // An entry made late, for a visit before the last one, does not bring the next one forward.
        if (vehicle.lastServiceOn === null || entry.performedOn >= vehicle.lastServiceOn)
          vehicles.put(vin, {
            ...vehicle,
            lastServiceOn: entry.performedOn,
            lastServiceKm: entry.odometerKm,
            nextDueOn: addMonths(entry.performedOn, vehicle.planMonths),
            nextDueKm: entry.odometerKm + vehicle.planKm,
          });
        return { isNew: true, service };
      });
    },

    /** Moves the due day so that the car has this status now; `undefined`: the car is not known. */
    setStatus(vin: string, status: Maintenance["status"]): Maintenance | undefined {
      const vehicle = vehicles.get(vin);
      const maintenance = this.maintenanceOf(vin);
      if (vehicle === undefined || maintenance === undefined) return undefined;
      if (maintenance.status === status) return maintenance;
      const nextDueOn =
        status === "overdue"
          ? Temporal.PlainDate.from(today()).subtract({ days: 1 }).toString()
          : addMonths(today(), vehicle.planMonths);
      vehicles.put(vin, { ...vehicle, nextDueOn });
      return this.maintenanceOf(vin);
    },
  };
}

/** A month's end stays one: 31 January and one month is 28 February. */
function addMonths(date: string, months: number): string {
  return Temporal.PlainDate.from(date).add({ months }).toString();
}
