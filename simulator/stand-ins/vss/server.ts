import { realClock } from "@caas/contract/business-clock.ts";
import { vinSchema } from "@caas/contract/vin.ts";
import * as z from "zod";
import { registerControl } from "../shared/control.ts";
import { createFaults } from "../shared/faults.ts";
import { type Answer, createApp, plainError, refuse, registerApi, send } from "../shared/http.ts";
import { createIdempotency, partnerIdempotency } from "../shared/idempotency.ts";
import { type PartnerOptions, type RunningPartner, runPartner } from "../shared/partner.ts";
import { openStore } from "../shared/store.ts";
import { newServiceSchema, openVehicleRecords, planSchema } from "./vehicles.ts";

const vinParams = z.object({ vin: vinSchema });

/** The workshops' maintenance system: who asks learns whether a car's maintenance is current (SY8, DO21). */
export async function startVss(options: PartnerOptions): Promise<RunningPartner> {
  const clock = options.clock ?? realClock;
  const store = openStore(options.storePath);
  const faults = createFaults();
  const records = openVehicleRecords(store, clock);
  const answerOnce = createIdempotency(store, { ...partnerIdempotency, now: () => clock.now() });
  const unknown = (vin: string): Answer => refuse(404, "unknown_vehicle", `no workshop knows ${vin}`);

  const app = createApp({ logger: options.logger, store, errorShape: plainError });
  registerControl(app, { name: "vss", store, faults });
  registerApi(app, { apiKey: options.apiKey, faults, errorShape: plainError }, (api) => {
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
        const key = request.headers["idempotency-key"]?.toString();
        const call = { key, method: "POST", path: request.url, body: request.body };
        const answer = answerOnce(call, () => {
          const recorded = records.recordService(vin, request.body);
          if (recorded === undefined) return unknown(vin);
          return { status: recorded.isNew ? 201 : 200, body: recorded.service };
        });
        return send(reply, answer);
      },
    );
  });

  app.put(
    "/_control/vehicles/:vin",
    { schema: { params: vinParams, body: z.strictObject({ status: z.enum(["current", "overdue"]) }) } },
    (request, reply) => {
      const { vin } = request.params;
      const maintenance = records.setStatus(vin, request.body.status);
      return send(reply, maintenance === undefined ? unknown(vin) : { status: 200, body: maintenance });
    },
  );

  return runPartner({
    name: "vss",
    app,
    options,
    async close() {
      store.close();
    },
  });
}
