import * as z from "zod";
import { refuse } from "../../http/refusal.ts";
import { addCommand, type Routing } from "../../http/routes.ts";
import type { Context } from "../../lifecycle/context.ts";
import { expectNews } from "../../lifecycle/partner-requests.ts";
import { enqueueRegistration } from "./jobs.ts";

export function registrationRoutes(context: Context, routing: Routing): void {
  addCommand(routing, {
    url: "/api/expedientes/:expedienteId/registration/retry",
    tag: "registration",
    summary: "Ask the authority again",
    refuses: ["conflict"],
    description:
      "After the authority's refusal was put right, or at once instead of at `nextTryAt`, while the vehicle is not registered.",
    params: z.strictObject({ expedienteId: z.uuid() }),
    body: z.strictObject({}),
    status: 202,
    answer: z.object({ expedienteId: z.uuid(), reference: z.string() }),
    async run(tx, { params: { expedienteId } }) {
      const registration = await tx
        .selectFrom("registrations")
        .where("expediente_id", "=", expedienteId)
        .select(["id", "reference", "status"])
        .forUpdate()
        .executeTakeFirst();
      if (registration === undefined)
        return refuse("conflict", "no registration was asked for yet: it waits for the final payment");
      const { id, reference, status } = registration;
      if (status === "recorded") return refuse("conflict", `registration ${reference} is recorded already`);
      await expectNews(context, tx, { partner: "authority", id });
      await enqueueRegistration(tx, expedienteId);
      return { kind: "done", answer: { expedienteId, reference } };
    },
  });
}
