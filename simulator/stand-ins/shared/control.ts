import * as z from "zod";
import { type Faults, faultsSchema } from "./faults.ts";
import { type PartnerApp, refuse, send } from "./http.ts";
import type { Knobs } from "./knobs.ts";
import type { PartnerStore } from "./store.ts";
import type { Outbox } from "./webhooks.ts";

// The control entrance: what tests and auditors set and read. It belongs to the simulator, not to the
// partner's API, so it takes no API key and the knobs do not reach it.

export function registerControl(
  app: PartnerApp,
  parts: { name: string; store: PartnerStore; faults: Faults; knobs: Knobs; outbox?: Outbox },
): void {
  const { name, store, faults, knobs, outbox } = parts;
  app.get("/health", () => ({ status: "ok", partner: name }));
  app.get("/_control/store", () => store.dump());
  knobs.add(() =>
    faults.isSet() ? { what: "faults", value: faults.read(), reset: "/_control/faults" } : null,
  );
  app.get("/_control/knobs", () => ({ knobs: knobs.list() }));
  app.get("/_control/faults", () => faults.read());
  app.put("/_control/faults", { schema: { body: faultsSchema } }, (request) => {
    faults.set(request.body);
    return faults.read();
  });
  app.delete("/_control/faults", (_request, reply) => {
    faults.clear();
    return reply.status(204).send();
  });
  if (outbox === undefined) return;
  app.get("/_control/webhooks", () => ({ webhooks: outbox.list() }));
  app.put(
    "/_control/webhooks",
    { schema: { body: z.strictObject({ baseUrl: z.url({ protocol: /^https?$/ }) }) } },
    (request, reply) => {
      outbox.setBaseUrl(request.body.baseUrl.replace(/\/$/, ""));
      return reply.status(204).send();
    },
  );
  app.post(
    "/_control/webhooks/:id/send-again",
    { schema: { params: z.object({ id: z.string() }) } },
    async (request, reply) => {
      const sent = await outbox.sendAgain(request.params.id);
      return sent === undefined
        ? send(reply, refuse(404, "no_such_webhook", `there is no webhook ${request.params.id}`))
        : sent;
    },
  );
}
