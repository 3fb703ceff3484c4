import { writtenVinSchema } from "@caas/contract/vin.ts";
import * as z from "zod";
import { type Answer, refuse, send } from "../shared/http.ts";
import { openPartner, type PartnerOptions, type RunningPartner } from "../shared/partner.ts";
import { newServiceSchema, openVehicleRecords, planSchema } from "./vehicles.ts";

const vinParams = z.object({ vin: writtenVinSchema });

/** The workshops' maintenance system: it says whether a car's maintenance is current (SY8, DO21). */
export function startVss(options: PartnerOptions): Promise<RunningPartner> {
  const partner = openPartner("vss", options);
  const records = openVehicleRecords(partner.store, partner.clock);
  const unknown = (vin: string): Answer => refuse(404, "unknown_vehicle", `no workshop knows ${vin}`);

  partner.serve((api) => {
    api.get("/v1/vehicles/:vin/maintenance", { schema: { params: vinParams } }, (request, reply) => {
      const { vin } = request.params;
      const maintenance = records.maintenanceOf(vin);
      return send(reply, maintenance === undefined ? unknown(vin) : { status: 200, body: maintenance });
    });

    api.put("/v1/vehicles/:vin", { schema: { params: vinParams, body: planSchema } }, (request) =>
      records.register(request.params.vin, request.body),
    );

    api.post(
      "/v1/vehicles/:vin/services",
      { schema: { params: vinParams, body: newServiceSchema } },
      (request, reply) => {
        const { vin } = request.params;
        return partner.answerOnce(request, reply, () => {
          const recorded = records.recordService(vin, request.body);
          if (recorded === undefined) return unknown(vin);
          return { status: recorded.isNew ? 201 : 200, body: recorded.service };
        });
      },
    );
  });

  partner.app.put(
    "/_control/vehicles/:vin",
    { schema: { params: vinParams, body: z.strictObject({ status: z.enum(["current", "overdue"]) }) } },
    (request, reply) => {
      const { vin } = request.params;
      const maintenance = records.setStatus(vin, request.body.status);
      return send(reply, maintenance === undefined ? unknown(vin) : { status: 200, body: maintenance });
    },
  );

  return partner.run();
}
